import Foundation

/// One end of a connection inside this process, for tests: what one end sends the other receives.
public struct MemorySocket: GatewaySocket {
    /// Messages that wait for a reader before a sender has to wait: more than a test sends unread.
    public static let capacity = 1024

    private let incoming: MemoryPipe
    private let outgoing: MemoryPipe

    /// Two ends that are connected.
    public static func pair() -> (MemorySocket, MemorySocket) {
        let (one, other) = (MemoryPipe(capacity: capacity), MemoryPipe(capacity: capacity))
        return (MemorySocket(incoming: one, outgoing: other), MemorySocket(incoming: other, outgoing: one))
    }

    public func receive() async throws -> Data {
        do {
            return try await incoming.take()
        } catch let error as CancellationError {
            await breakOff("a receive was cancelled")
            throw error
        }
    }

    public func send(_ text: Data) async throws {
        try await outgoing.put(text)
    }

    public func close(code: UInt16, reason: String) async {
        await incoming.abort(.closedHere)
        await outgoing.finish(.closedByPeer(code: code, reason: reason))
    }

    /// Ends the connection for both ends as a network failure does.
    public func breakOff(_ why: String) async {
        await incoming.abort(.broken(why))
        await outgoing.abort(.broken(why))
    }
}

/// A network inside this process, for tests: what is dialled on it is accepted on it.
public actor MemoryNetwork: GatewayDialer {
    private var dialled: [MemorySocket] = []
    private var acceptors: [CheckedContinuation<MemorySocket, Never>] = []
    private var refusal: String?

    /// A network on which nobody has dialled yet.
    public init() {}

    public func dial(_ endpoint: GatewayEndpoint) async throws -> any GatewaySocket {
        if let refusal { throw SocketError.unreachable(refusal) }
        let (near, far) = MemorySocket.pair()
        if acceptors.isEmpty {
            dialled.append(far)
        } else {
            acceptors.removeFirst().resume(returning: far)
        }
        return near
    }

    /// Waits for the next connection, in the order in which they were dialled, and gives the
    /// gateway's end of it.
    public func accept() async -> MemorySocket {
        if !dialled.isEmpty { return dialled.removeFirst() }
        return await withCheckedContinuation { acceptors.append($0) }
    }

    /// From now on every dial fails with these words; `nil` lets them through again.
    public func refuse(_ why: String?) {
        refusal = why
    }
}
