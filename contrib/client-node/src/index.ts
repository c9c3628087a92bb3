// What the package offers.
export { Agent } from "./agent.js";
export type { ConnectOptions, RunOptions, RunResult, SessionOptions, StreamOptions } from "./agent.js";
export type { RequestOptions } from "./connection.js";
export { JumpagentError } from "./errors.js";
export type { ErrorKind } from "./errors.js";
export { EventStream, Mirror } from "./events.js";
export type { ChangeUpdate, EventsOptions, SnapshotUpdate, Update } from "./events.js";
export type { InteractionHandler, Question } from "./interactions.js";
export { Session } from "./session.js";
export type { Exit } from "./session.js";
export { socketPath } from "./socket-path.js";
export type * from "./types.js";
