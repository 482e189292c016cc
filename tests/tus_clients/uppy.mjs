// Uploads a file with Uppy: node uppy.mjs ENDPOINT FILE. Prints what came of it as JSON.
import { readFileSync } from 'node:fs'
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'

const [endpoint, path] = process.argv.slice(2)

// The plugin asks for the browser's connection; Node's navigator has none.
Object.defineProperty(globalThis, 'navigator', { value: { onLine: true }, configurable: true })

let retries = 0
const uppy = new Uppy().use(Tus, {
  endpoint,
  retryDelays: Array(20).fill(200),
  onShouldRetry: () => {
    retries += 1
    return true
  },
})
// Where a browser's tus-js-client takes a Blob, Node's takes a Buffer; Uppy asks for its size.
const data = readFileSync(path)
data.size = data.length
uppy.addFile({ name: 'traffic.mp4', type: 'video/mp4', data, meta: { frame_skip: '2' } })
const result = await uppy.upload()
if (result.failed.length > 0) {
  console.error(result.failed[0].error)
  process.exit(1)
}
console.log(JSON.stringify({ url: result.successful[0].uploadURL, retries }))
process.exit(0)
