/** Splits a watch answer into its lines, however the network cut it; a line has a size cap. */

// Above the largest object an API server stores (etcd's 1.5 MiB, as JSON).
const maxLineBytes = 16 * 1024 * 1024;

export async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  let pending: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      pending.push(chunk.subarray(from, end));
      const line = Buffer.concat(pending).toString("utf8");
      pending = [];
      size = 0;
      from = end + 1;
      if (line.trim() !== "") yield JSON.parse(line) as unknown;
    }
    const rest = chunk.subarray(from);
    size += rest.length;
    if (size > maxLineBytes) throw new RangeError(`a watch event exceeds ${maxLineBytes} bytes`);
    if (rest.length > 0) pending.push(rest);
  }
  // What is left without a newline was cut off by the end of the connection: never an event.
}
