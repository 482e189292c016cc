"""How the plates of US states and some Canadian provinces look, as data.

Serial patterns and looks follow the standard issues of about 2000 to 2024 (public descriptions by
the states' motor vehicle departments); ink and ground are rough BGR colours. Much is drawn at
random around them, and four plates in ten use no entry at all.
"""

from dataclasses import dataclass

from training.synth.canvas import Colour

NAVY: Colour = (110, 45, 20)
INK: Colour = (35, 30, 30)
CRIMSON: Colour = (50, 30, 160)
PALE: Colour = (235, 235, 232)
WHITE: Colour = (235, 235, 235)


@dataclass(frozen=True)
class State:
    """One issue: its words, patterns, colours, and what stands between the groups."""

    name: str
    slogan: str
    patterns: tuple[str, ...]
    ink: Colour = NAVY
    ground: Colour = PALE
    word_ink: Colour = NAVY
    marks: tuple[str, ...] = ("none",)
    scene: tuple[str, ...] = ("none",)
    weight: float = 1.0


STATES: tuple[State, ...] = (
    State("California", "dmv.ca.gov",
          ("DLLLDDD", "DLLLDDD", "DLLLDDD", "DLLLDDD", "DLDDDDD", "DDDDDLD", "DDDDDDD", "DLDDDDD"),
          ink=(95, 45, 30), word_ink=CRIMSON, weight=9),
    State("Missouri", "Show-Me State", ("LLD~LDL", "LLD~LDL", "LLD~LDL", "LDD~LLL", "DLL~DLL"),
          ink=(75, 40, 30), ground=(232, 222, 212), word_ink=(120, 60, 40),
          marks=("tall_sticker",), scene=("band", "none"), weight=8),
    State("Texas", "The Lone Star State",
          ("LLL~DDDD", "LLL~DDDD", "LLL-DDDD", "LDD~LLL", "LLL~DDD", "DDL~LDD", "LL~DDDD"),
          ink=INK, word_ink=INK, marks=("star", "star", "dash", "shape"),
          scene=("corner_star", "none", "hills"), weight=6),
    State("Florida", "Sunshine State",
          ("LLLL~DD", "LDD~DLL", "DDD~LLL", "LLL~LDD", "LDD~DLL", "DDDL~LL", "DDL~LLL"),
          ink=(60, 90, 30), word_ink=(60, 100, 30), marks=("fruit",), weight=5),
    State("New York", "Empire State", ("LLL~DDDD", "LLL~DDDD", "LLL DDDD", "DDDDD~LL"),
          ink=(120, 45, 10), word_ink=WHITE, marks=("shape", "faint", "dash"),
          scene=("top_band", "top_band", "both_bands"), weight=4),
    State("New York", "Empire State", ("LLL~DDDD", "LLL DDDD"), ink=(110, 45, 25),
          ground=(60, 175, 225), word_ink=WHITE, marks=("none", "faint"), scene=("both_bands",),
          weight=2),
    State("Illinois", "Land of Lincoln",
          ("LDD DDDD", "DDD DDDD", "LDD DDDD", "LL DDDDD", "DDD~DDDD"), ink=(45, 35, 150),
          word_ink=(120, 60, 30), marks=("faint",), scene=("washes", "none"), weight=3.5),
    State("Arizona", "Grand Canyon State", ("LLLDDDD", "LLL DDDD", "DDD LLL", "LLLDDDD"),
          ink=(85, 80, 20), ground=(225, 200, 150), word_ink=(130, 60, 90), scene=("desert",),
          weight=3.5),
    State("South Carolina", "Smiling Faces", ("LLL DDD", "LLL~DDD", "DDDD LL", "LLLDDD"),
          ink=(110, 60, 35), ground=(235, 228, 218), word_ink=(130, 80, 40),
          marks=("faint", "icon"), scene=("washes", "hills"), weight=2.5),
    State("North Carolina", "First in Flight", ("LLL~DDDD", "LLL-DDDD", "LL DDDDD"),
          ink=(120, 50, 25), word_ink=CRIMSON, marks=("faint", "none", "dash"),
          scene=("washes", "none"), weight=2),
    State("Georgia", "Peach State", ("LLL~DDDD", "LLL DDDD", "DDDD LLL"), ink=INK, word_ink=INK,
          marks=("fruit", "icon"), scene=("washes", "hills"), weight=2.5),
    State("Ohio", "Birthplace of Aviation", ("LLL DDDD", "LL DDLL", "LLL~DDDD"), ink=(90, 40, 25),
          word_ink=CRIMSON, marks=("none", "faint"), scene=("washes", "hills", "none"), weight=2),
    State("Pennsylvania", "visitPA.com", ("LLL~DDDD", "LLL-DDDD"), ink=(100, 45, 20),
          word_ink=WHITE, marks=("shape", "dash"), scene=("both_bands", "top_band"), weight=2),
    State("New Jersey", "Garden State", ("LDD~LLL", "LLL~DDL", "DDD~LLL", "DD~LLL"), ink=INK,
          ground=(120, 215, 235), word_ink=INK, marks=("shape", "shape", "dash"), scene=("fade",),
          weight=2),
    State("Michigan", "Great Lakes", ("LLL DDDD", "LLLDDDD", "DLL LDD", "LLLLDD"), ink=WHITE,
          ground=(125, 50, 15), word_ink=WHITE, weight=1.2),
    State("Michigan", "Pure Michigan", ("LLL DDDD", "DLL LDD"), ink=(110, 50, 20), word_ink=WHITE,
          scene=("top_band",)),
    State("Virginia", "Virginia is for Lovers", ("LLL~DDDD", "LLL-DDDD", "LL-DDDD"),
          ink=(110, 50, 25), word_ink=(110, 50, 25), marks=("dash", "none"), weight=2),
    State("Washington", "Evergreen State", ("DDD LLL", "LLL DDDD", "LLLDDDD"), ink=(90, 40, 20),
          word_ink=(60, 40, 160), marks=("faint",), scene=("mountain",), weight=1.5),
    State("Oregon", "Pacific Wonderland", ("DDD~LLL", "LLL~DDD"), ink=(90, 50, 25),
          ground=(230, 215, 205), word_ink=(90, 50, 25), marks=("tree",),
          scene=("hills", "mountain"), weight=1.5),
    State("Colorado", "", ("LLL-DDD", "DDD-LLL", "LLL~DDD", "LLL-LDD"), ink=(240, 240, 240),
          ground=(70, 95, 25), word_ink=(240, 240, 240), marks=("none", "sticker"),
          scene=("mountain_white",), weight=1.5),
    State("Maryland", "", ("DLL~DDDD", "LLL~DDD", "DLLDDDD"), ink=INK, word_ink=INK,
          marks=("arms", "shield", "none"), scene=("none", "bottom_band"), weight=1.3),
    State("Massachusetts", "The Spirit of America",
          ("DDD LLD", "DLLL DD", "DLL DDD", "DDDL LD", "DDDD LL"), ink=(50, 35, 165),
          word_ink=(140, 70, 20), weight=1.3),
    State("Minnesota", "10,000 lakes", ("DDD~LLL", "LLL DDD", "LLL~DDD"), ground=(235, 225, 205),
          marks=("faint", "icon"), scene=("lake",), weight=1.3),
    State("Wisconsin", "America's Dairyland", ("DDD-LLL", "LLL-DDDD", "DDD~LLL"), ink=INK,
          word_ink=CRIMSON, marks=("dash",), scene=("none", "sun")),
    State("Tennessee", "The Volunteer State", ("LDD-DDL", "LDD~DDL", "DDD LLL", "LLL DDDD"),
          ink=(90, 50, 30), ground=(225, 232, 215), word_ink=(90, 60, 30),
          marks=("shape", "faint"), scene=("hills",), weight=1.3),
    State("Alaska", "The Last Frontier", ("LLL DDD", "LLL~DDD"), ink=(110, 55, 25),
          ground=(60, 190, 235), word_ink=CRIMSON, marks=("icon", "faint")),
    State("Alabama", "Heart of Dixie", ("DDLDDDD", "DLLDDDD", "DDL DDDD", "DLL~DDDD"),
          ink=(80, 45, 30), ground=(228, 225, 215), word_ink=CRIMSON, marks=("none", "icon"),
          scene=("hills", "washes")),
    State("Louisiana", "Sportsman's Paradise", ("LLL DDD", "DDD LLL", "DDDLLL", "LLL~DDD"),
          ink=(100, 50, 25), ground=(228, 222, 210), word_ink=CRIMSON, marks=("icon", "faint"),
          scene=("washes",)),
    State("Kansas", "", ("DDD LLL", "DDD~LLL", "DDDD LLL"), ink=(110, 55, 20),
          ground=(235, 215, 190), word_ink=(110, 55, 20), marks=("faint", "icon"),
          scene=("washes",)),
    State("Indiana", "In God We Trust", ("DDDLL", "DDDL", "LLL DDD", "DDD LLL", "DDDLLL"),
          ink=(90, 45, 20), ground=(232, 222, 210), word_ink=(90, 45, 20), marks=("none", "faint"),
          scene=("bottom_band", "washes")),
    State("Nevada", "The Silver State", ("DDD~LLL", "DDL~DDD", "LLL DDD"), ink=(100, 50, 25),
          ground=(232, 225, 215), word_ink=(100, 50, 25), marks=("sticker", "none", "faint"),
          scene=("mountain",)),
    State("Utah", "Greatest Snow on Earth", ("LDD DLL", "DDD LLL", "DDD~LLL", "DLD DLL"),
          ink=(95, 50, 25), ground=(235, 228, 222), word_ink=(160, 60, 30),
          marks=("icon", "faint"), scene=("washes", "desert")),
    State("Connecticut", "Constitution State", ("DDD~LLL", "LL DDDDD", "LL~DDDDD", "DLL-LDD"),
          ink=(110, 50, 20), ground=(230, 200, 165), word_ink=(110, 50, 20),
          marks=("dash", "none"), scene=("fade",)),
    State("Oklahoma", "Native America", ("DDD LLL", "LLL DDD", "LLL~DDD"), ink=(80, 50, 35),
          ground=(225, 228, 222), word_ink=(80, 60, 30), marks=("faint", "icon"),
          scene=("washes",)),
    State("Kentucky", "Bluegrass State", ("DDD LLL", "DDD~LLL", "LDL~DDD"), ink=(100, 50, 25),
          ground=(230, 215, 195), word_ink=(100, 50, 25), marks=("faint",), scene=("hills",)),
    State("Idaho", "Famous Potatoes", ("DL DDDDD", "DL LDDDD", "LDDDDDD", "DLDDDDD"),
          ink=(95, 45, 25), ground=(225, 215, 215), word_ink=CRIMSON, scene=("mountain", "hills")),
    State("Hawaii", "Aloha State", ("LLL DDD", "LLL~DDD"), ink=INK, word_ink=CRIMSON,
          marks=("none", "faint"), scene=("rainbow",)),
    State("Rhode Island", "Ocean State", ("DDDDDD", "LL-DDD", "DDD-DDD", "DDDDD"),
          ink=(100, 50, 20), word_ink=(100, 50, 20), scene=("waves",)),
    State("Wyoming", "", ("D~DDDDD", "DD~DDDD", "D DDDDD", "DD DDDDD"), ink=(110, 50, 25),
          ground=(225, 205, 180), word_ink=(110, 50, 25), marks=("icon", "none"),
          scene=("mountain",)),
    State("Delaware", "The First State", ("DDDDDD", "DDD DDD", "DDDDDDD"), ink=(70, 190, 225),
          ground=(110, 45, 15), word_ink=(70, 190, 225)),
    State("New Mexico", "Land of Enchantment", ("DDD~LLL", "LLL~DDD", "DDD LLL"), ink=CRIMSON,
          ground=(60, 195, 235), word_ink=CRIMSON, marks=("icon", "star")),
    State("Vermont", "Green Mountain State", ("LLL DDD", "LLL~DDD", "DDDLD"), ink=WHITE,
          ground=(60, 100, 20), word_ink=WHITE),
    State("Ontario", "Yours to Discover", ("LLLL~DDD", "LLLL DDD", "DDD~LLL", "LL DDDDD"),
          ink=(110, 50, 15), word_ink=(110, 50, 15), marks=("crown",), weight=1.5),
    State("Quebec", "Je me souviens", ("DDD LLL", "LDD LLL", "LDDLLL", "DDD~LLL"),
          ink=(110, 50, 15), word_ink=(110, 50, 15), marks=("shield", "none")),
    State("British Columbia", "Beautiful", ("DDD~LLL", "LLL DDD", "LLD~DDL", "LDD DLL"),
          ink=(120, 50, 15), word_ink=(120, 50, 15), marks=("shape", "arms", "shield")),
)  # fmt: skip

PATTERNS: tuple[tuple[str, float], ...] = (
    ("DLLLDDD", 7), ("LLLDDDD", 7), ("LLDLDL", 6), ("DDDLLL", 7), ("LLLDDD", 7), ("LLDDDDD", 2.5),
    ("DDDDDDD", 2), ("DDDDDD", 2.5), ("LDDDDDD", 2.5), ("DLDDDDD", 2.5), ("DDDDDLD", 1.5),
    ("LLLLDD", 2), ("LDDLLL", 2), ("DLLLDD", 1.5), ("DDDLLD", 1), ("DLLDDD", 1.5), ("DLLDDDD", 2),
    ("DDLDDDD", 2), ("DDLDDD", 1), ("LDDDDL", 1.5), ("LLLDDL", 1.5), ("LDDDLL", 1.5),
    ("DDDDLL", 1), ("LLDDDD", 1.5), ("LDDDD", 0.7), ("DDDDL", 0.7), ("LDDDDD", 1),
    ("DDDDDL", 0.7), ("DDDL", 0.7), ("DDDLL", 0.7), ("LLDDD", 0.7), ("LDLDDD", 0.8),
    ("DLDLLD", 0.4), ("LLDLLD", 0.4), ("DDLLDD", 0.5), ("LDLLDL", 0.3), ("DLDDDDL", 0.5),
    ("DLDLLL", 0.5), ("XXXXXX", 1), ("XXXXXXX", 1), ("XXXXX", 0.5),
)  # fmt: skip
"""Patterns without separators for plates of no state in particular."""
