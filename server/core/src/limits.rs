//! Bounds of the server that are nobody's business on the wire, each with its reason. Those that clients are told, or
//! that both sides have to agree on, are in `openclaw_protocol::protocol::limits`.

use std::time::Duration;

/// Sockets open at a time, whatever they speak. Each costs a few KiB here and a few times that in the kernel; one
/// gateway serves the devices of one household or team, so this is far more than it needs and far less than hurts.
pub const MAX_CONNECTIONS: usize = 16_384;

/// Share of them that one network beyond this host may have (an IPv4 address, or 64 bits of IPv6). An office behind one
/// address has fewer clients, and four such strangers together still leave most places free. A trusted proxy is not
/// counted, its clients are.
pub const MAX_CONNECTIONS_PER_NETWORK: usize = 1_024;

/// WebSockets open at a time that have not been accepted yet. They are strangers who may hold their place for ten
/// seconds; this many leave room for all real clients to reconnect at once after a restart.
pub const MAX_HANDSHAKES: usize = 2_048;

/// Share of those places that one network beyond this host may have. Large enough for an office behind one address.
pub const MAX_HANDSHAKES_PER_NETWORK: usize = 128;

/// Time between two lines of the log that say how many were refused. Refusals can come by the thousand; what they are
/// about is worth one line a minute.
pub const REFUSALS_REPORT: Duration = Duration::from_secs(60);

/// Time for the head of an HTTP request. A client on a bad line needs a second or two.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Size of the head of an HTTP request. Proxies add a few KiB to a browser's.
pub const HTTP_HEAD_BYTES: usize = 32 * 1024;

/// Time that a connection may stay plain HTTP, and once more for taking the answer under way then. Browsers and probes
/// open another without a word; who does not read the largest answer in this time is holding a place for nothing.
pub const HTTP_TIME: Duration = Duration::from_secs(60);

/// Body of a request to `/v1/chat/completions`. Clients resend the whole conversation with every turn.
pub const COMPLETIONS_BODY_BYTES: usize = 1024 * 1024;

/// Body of a request to `/tools/invoke` (contract 10.5).
pub const TOOLS_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Tools that programs use at a time. Each may hold a process; people's scripts use one after the other.
pub const MAX_TOOL_USES: usize = 16;

/// Body of a request to `/v1/responses` when the configuration does not say: pictures travel inside it.
pub const RESPONSES_BODY_BYTES: u64 = 20 * 1024 * 1024;

/// Body of a request to a hook when the configuration does not say. Services notify with a few KiB.
pub const HOOKS_BODY_BYTES: u64 = 256 * 1024;

/// Between two signs of life in a stream of events that has nothing to say. Proxies close what is silent for a minute.
pub const STREAM_PULSE: Duration = Duration::from_secs(15);

/// Mappings of hooks that are used. Each is compared with every request; a household has a few.
pub const MAX_HOOK_MAPPINGS: usize = 256;

/// Longest text that a hook's template makes. It becomes a prompt.
pub const MAX_HOOK_TEXT: usize = 64 * 1024;

/// Messages handled before other connections get their turn. With this many the system calls of a turn cost little
/// beside the handling (two per turn), and a turn stays well under a millisecond.
pub const MAX_FRAMES_PER_WAKE: usize = 64;

/// Requests of one connection that are being handled at a time; further ones stay in the socket. Reference clients
/// have a handful under way, but each `agent.wait` of a busy dashboard takes a place for up to its timeout.
pub const MAX_IN_FLIGHT: usize = 128;

/// Requests of one connection whose second response is still due. Runs are queued and bounded elsewhere; this bounds
/// what one client can make us remember about them.
pub const MAX_SECOND_STAGES: usize = 256;

/// How long a connection may have bytes waiting of which the peer takes none. Twice the tick interval is when
/// reference clients give up on a silent gateway; the reverse should not be shorter.
pub const STALL_TIMEOUT: Duration = Duration::from_millis(2 * TICK_MS);

const TICK_MS: u64 = openclaw_protocol::protocol::limits::TICK_INTERVAL_MS;

/// How long the peer has for taking what was queued before a close frame and answering it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections that the flusher writes to before other tasks get their turn.
pub const FLUSH_BATCH: usize = 64;

/// Window in which connects and disconnects are gathered into one presence event (odd 20). Short enough to look
/// immediate to a person, long enough for a restart's reconnects to be few windows.
pub const PRESENCE_WINDOW: Duration = Duration::from_millis(100);

/// Bytes of gathered presence events a second, all connections together. It stretches the window when many clients
/// come and go: a full list for thousands of clients every 100 ms would leave no room for anything else.
pub const PRESENCE_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;

/// Entries of gone clients that had neither device nor instance id. They can never come back under the same name, so
/// the last few are enough to show what happened; they must not crowd out those of known devices.
pub const MAX_NAMELESS_GONE: usize = 16;

/// Sessions that can have system events waiting for their next run.
pub const MAX_EVENT_QUEUES: usize = 256;

/// Longest system event text that is kept, in bytes; it goes into a prompt.
pub const MAX_EVENT_TEXT: usize = 4 * 1024;

/// Conversations whose events one connection may have copied to it. A phone shows one at a time; a wall of screens a few
/// dozen.
pub const MAX_SUBSCRIPTIONS: usize = 64;

/// Longest key that can be subscribed to, in bytes; those of conversations are shorter.
pub const MAX_SUBSCRIPTION_BYTES: usize = 1024;
