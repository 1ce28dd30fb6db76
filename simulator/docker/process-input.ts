/** The writable half of a process's connection, as one client's input. */
import { type Duplex, Writable } from "node:stream";

/** With `endsInput` the client's end of input is the process's. The output half stays open. */
export function inputOf(stream: Duplex, endsInput: boolean): Writable {
  const input = new Writable({
    write: (chunk, _encoding, done) => void stream.write(chunk, (error) => done(error ?? null)),
    final(done) {
      if (endsInput) stream.end(() => done());
      else done();
    },
  });
  // The process may end before its input is read: nobody's error.
  return input.on("error", () => undefined);
}
