import Foundation

/// A time since a ``ManualClock`` began.
struct ManualInstant: InstantProtocol {
    var offset: Swift.Duration = .zero
    func advanced(by duration: Swift.Duration) -> ManualInstant { ManualInstant(offset: offset + duration) }
    func duration(to other: ManualInstant) -> Swift.Duration { other.offset - offset }
    static func < (one: ManualInstant, other: ManualInstant) -> Bool { one.offset < other.offset }
}

/// A clock that stands still until a test lets time pass, so that nothing sleeps in tests.
final class ManualClock: Clock, @unchecked Sendable {
    typealias Duration = Swift.Duration
    typealias Instant = ManualInstant

    private struct State {
        var now = Instant()
        var lastNumber = 0
        var sleepers: [Int: (due: Instant, continuation: CheckedContinuation<Void, any Error>)] = [:]
        /// Sleepers that were cancelled before they slept.
        var cancelled: Set<Int> = []
        var watchers: [(due: Instant, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let lock = NSLock()
    private var state = State()

    var now: Instant { lock.withLock { state.now } }
    var minimumResolution: Swift.Duration { .zero }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let number = lock.withLock {
            state.lastNumber += 1
            return state.lastNumber
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = lock.withLock {
                    if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.sleepers[number] = (deadline, continuation)
                    let satisfied = state.watchers.filter { $0.due == deadline }
                    state.watchers.removeAll { $0.due == deadline }
                    for watcher in satisfied { watcher.continuation.resume() }
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = lock.withLock {
                let sleeper = state.sleepers.removeValue(forKey: number)
                if sleeper == nil { state.cancelled.insert(number) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Waits until somebody sleeps until exactly so much later, then lets that time pass.
    func pass(_ duration: Duration) async {
        await slept(for: duration)
        let due = lock.withLock {
            state.now = state.now.advanced(by: duration)
            let due = state.sleepers.filter { $0.value.due <= state.now }
            for number in due.keys { state.sleepers[number] = nil }
            return due.sorted { ($0.value.due, $0.key) < ($1.value.due, $1.key) }
        }
        for (_, sleeper) in due { sleeper.continuation.resume() }
    }

    /// Waits until somebody sleeps until exactly so much later.
    func slept(for duration: Duration) async {
        await withCheckedContinuation { continuation in
            let isThere = lock.withLock {
                let due = state.now.advanced(by: duration)
                if state.sleepers.values.contains(where: { $0.due == due }) { return true }
                state.watchers.append((due, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// Lets time pass in which nobody has to wake up.
    func drift(_ duration: Duration) {
        lock.withLock { state.now = state.now.advanced(by: duration) }
    }
}
