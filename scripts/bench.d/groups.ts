/** All groups, in the order they are measured in. */
import { containerdGroup } from "./containerd.ts";
import type { Group } from "./group.ts";
import { podStartsGroup } from "./pod-starts.ts";

export const groups: readonly Group[] = [podStartsGroup, containerdGroup];
