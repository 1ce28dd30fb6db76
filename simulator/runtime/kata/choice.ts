/**
 * Which shim serves the handler `kata`: ours, or genuine Kata's where it is asked for. Decided once, by
 * probing, when the node's handlers are put together; what the other one would need is said with it.
 */
import { builtinHandlers, type HandlerConfig } from "../handler-table.ts";
import type { AssessKataOptions } from "./assessment.ts";
import {
  assessKata,
  type KataAssessment,
  type ProveAccelerator,
  problemText,
} from "./assessment.ts";

export interface KataSettings extends Pick<AssessKataOptions, "configFile" | "wanted"> {
  /** "genuine" never falls back; "auto" takes the genuine one where it can run. */
  readonly kata: "katasim" | "auto" | "genuine";
  readonly prove: ProveAccelerator;
}

export const kataHandlerName = "kata";

/** Genuine Kata as a handler: its overlay is shared with the guest, so images are unpacked folders. */
export function genuineKata(options: { readonly configFile?: string } = {}): HandlerConfig {
  return {
    name: kataHandlerName,
    runtimeType: "io.containerd.kata.v2",
    snapshotter: "overlayfs",
    sandboxed: true,
    options: { kind: "kata", ...options },
    alternative: "Without --kata genuine, katasim's own shim serves it.",
  };
}

/** The built-in table with the entry `kata` as it is chosen. */
export async function nodeHandlers(settings: KataSettings): Promise<readonly HandlerConfig[]> {
  const { kata, configFile } = settings;
  const genuine = genuineKata(configFile === undefined ? {} : { configFile });
  if (kata === "genuine") return withKata(genuine);
  const assessment = await assessKata(settings);
  const { problems } = assessment;
  if (kata === "auto" && problems.length === 0) return withKata(genuine);
  const ours = builtinHandlers.find(({ name }) => name === kataHandlerName);
  return ours === undefined
    ? builtinHandlers
    : withKata({ ...ours, alternative: alternativeText(assessment, kata) });
}

function withKata(kata: HandlerConfig): readonly HandlerConfig[] {
  return builtinHandlers.map((handler) => (handler.name === kata.name ? kata : handler));
}

function alternativeText({ shim, problems }: KataAssessment, choice: "katasim" | "auto"): string {
  // Without the shim there is no more to say: nobody tried to install it.
  const told = shim === undefined ? problems.slice(0, 1) : problems;
  if (told.length > 0) return `Genuine Kata cannot serve it: ${problemText(told)}.`;
  return `Genuine Kata ${shim?.version ?? ""} could serve it: up --kata genuine (now: ${choice}).`;
}
