// JumpagentError: everything that this client reports as failed. `message` is for people, `hint` (often empty) says
// what to do next, `kind` is what programs act on.

/** The kinds of PROTOCOL.md, and `no_agent`, which is this client's own: nobody listens on the socket. */
export type ErrorKind =
  | "invalid"
  | "not_found"
  | "in_use"
  | "refused"
  | "unreachable"
  | "timeout"
  | "auth"
  | "needs_person"
  | "cancelled"
  | "host_key"
  | "protocol"
  | "closed"
  | "replaced"
  | "limit"
  | "unsupported"
  | "internal"
  | "no_agent";

const kinds: ReadonlySet<string> = new Set<ErrorKind>([
  "invalid", "not_found", "in_use", "refused", "unreachable", "timeout", "auth", "needs_person", "cancelled",
  "host_key", "protocol", "closed", "replaced", "limit", "unsupported", "internal", "no_agent",
]);

/** JSON-RPC's code for an unknown method: an older agent. */
const methodNotFound = -32601;

export class JumpagentError extends Error {
  override readonly name = "JumpagentError";
  readonly kind: ErrorKind;
  readonly hint: string;
  /** JSON-RPC's code; 0 when the error is this client's own. */
  readonly code: number;

  constructor(kind: ErrorKind, message: string, hint = "", code = 0, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.hint = hint;
    this.code = code;
  }

  /** From `error` of an answer. A kind that this client does not know counts as `refused`, as PROTOCOL.md says. */
  static fromRpc(error: unknown): JumpagentError {
    const { code, message, data } = fields(error);
    const number = typeof code === "number" ? code : 0;
    const text = typeof message === "string" ? message : "the agent reported an error without a message";
    const { kind, hint } = fields(data);
    return new JumpagentError(kindOf(kind, number), text, typeof hint === "string" ? hint : "", number);
  }

  /** From `error` of `session.ended`: {kind, message, hint} without an envelope. */
  static fromPlain(error: unknown): JumpagentError {
    return JumpagentError.fromRpc({ code: 0, message: fields(error)["message"], data: error });
  }
}

function kindOf(kind: unknown, code: number): ErrorKind {
  if (typeof kind === "string") return kinds.has(kind) ? (kind as ErrorKind) : "refused";
  if (code === methodNotFound) return "unsupported";
  return code <= -32600 && code >= -32700 ? "invalid" : "refused";
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
