// Uploads a file with tus-js-client: node tus_js.mjs ENDPOINT FILE. Prints what came of it as JSON.
import { createReadStream } from 'node:fs'
import { Upload } from 'tus-js-client'

const [endpoint, path] = process.argv.slice(2)
let retries = 0

const upload = new Upload(createReadStream(path), {
  endpoint,
  retryDelays: Array(20).fill(200),
  metadata: { filename: 'traffic.mp4', filetype: 'video/mp4', frame_skip: '2' },
  onShouldRetry: () => {
    retries += 1
    return true
  },
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url, retries })),
})
upload.start()
