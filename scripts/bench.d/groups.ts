/** All groups, in the order they are measured in. */
import { containerdGroup } from "./containerd.ts";
import { cyclesGroup } from "./cycles.ts";
import type { Group } from "./group.ts";
import { memoryGroup } from "./memory.ts";
import { podStartsGroup } from "./pod-starts.ts";
import { streamsGroup } from "./streams.ts";
import { togetherGroup } from "./together.ts";
import { upGroup } from "./up.ts";

export const groups: readonly Group[] = [
  podStartsGroup,
  upGroup,
  streamsGroup,
  memoryGroup,
  togetherGroup,
  cyclesGroup,
  containerdGroup,
];
