import Foundation

/// One direction of a connection in memory: a bounded queue of messages with an end.
actor MemoryPipe {
    private let capacity: Int
    private var messages: [Data] = []
    private var end: SocketError?
    /// Readers and writers; whoever wakes looks for itself whether its turn has come.
    private var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Waits for room, then adds a message.
    func put(_ message: Data) async throws {
        while end == nil, messages.count >= capacity {
            try await change()
        }
        if let end { throw end }
        messages.append(message)
        wake()
    }

    /// Waits for a message and takes it. What was put before the end is still given.
    func take() async throws -> Data {
        while messages.isEmpty {
            if let end { throw end }
            try await change()
        }
        wake()
        return messages.removeFirst()
    }

    /// Nothing can be put any more. The first end counts.
    func finish(_ reason: SocketError) {
        if end == nil { end = reason }
        wake()
    }

    /// The same, and what has not been taken is lost.
    func abort(_ reason: SocketError) {
        messages.removeAll()
        finish(reason)
    }

    /// Waits until something has changed. Throws where the task is cancelled.
    private func change() async throws {
        nextWaiter += 1
        let number = nextWaiter
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiters[number] = $0 }
        } onCancel: {
            Task { await self.giveUp(number) }
        }
        try Task.checkCancellation()
    }

    private func giveUp(_ number: Int) {
        waiters.removeValue(forKey: number)?.resume()
    }

    private func wake() {
        let woken = waiters.values
        waiters = [:]
        for waiter in woken { waiter.resume() }
    }
}
