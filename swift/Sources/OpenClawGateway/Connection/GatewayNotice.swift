/// What a client tells its user without being asked: the gateway's events, and what happens to the
/// connection that carries them.
public enum GatewayNotice: Sendable, Hashable {
    /// The gateway sent an event. One whose payload does not fit its name comes as
    /// ``EventPayload/unknown(name:payload:)``.
    case event(GatewayEvent)
    /// Events of the gateway are missing before the next one, and are never sent again: whatever they would
    /// have told has to be asked for.
    case gap(expected: Int, received: Int)
    /// This subscriber was too slow, and as many notices were dropped before the next one.
    case dropped(count: Int)
    /// The connection is lost. Unless this client closed it or reconnecting is off, attempts to reconnect
    /// begin now.
    case disconnected(GatewayDisconnect)
    /// The connection is back. Nothing is known about events in between: the hello's snapshot is the state
    /// to go on from.
    case reconnected(Gateway.HelloOk)
    /// The gateway refuses to have this client back. It is the last notice.
    case gaveUp(GatewayConnectError)
}

/// What a client is doing.
public enum GatewayState: Sendable, Hashable {
    /// It has not been told to connect, or its first attempt failed.
    case idle
    /// Its first attempt to connect.
    case connecting
    /// Calls can be made.
    case connected
    /// The connection is lost: it waits for, or makes, an attempt, counted from 1.
    case reconnecting(attempt: Int)
    /// It has ended and stays so; the reason is that of the last connection.
    case closed(GatewayDisconnect)
}

/// The notices of one client, from when they were asked for. It ends when the client is closed.
///
/// At most ``GatewayConfiguration/eventBuffer`` notices wait for the subscriber; beyond that the oldest are
/// dropped, and ``GatewayNotice/dropped(count:)`` tells in their place how many. Iterators of one value share
/// its buffer. The subscription ends with the last of them.
public struct GatewayEvents: AsyncSequence, Sendable {
    public typealias Element = GatewayNotice
    public typealias Failure = Never

    /// Ends the subscription with its last copy.
    fileprivate final class Subscription: Sendable {
        let client: GatewayClient
        let number: Int

        init(_ client: GatewayClient, _ number: Int) {
            self.client = client
            self.number = number
        }

        deinit {
            Task { [client, number] in await client.unsubscribe(number) }
        }
    }

    private let subscription: Subscription

    init(_ client: GatewayClient, _ number: Int) {
        subscription = Subscription(client, number)
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(subscription: subscription)
    }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let subscription: Subscription

        /// Waits for the next notice; `nil` once the client is closed, or when the task is cancelled.
        public func next() async -> GatewayNotice? {
            await subscription.client.nextNotice(subscription.number)
        }
    }
}
