import Foundation

/// The calls that wait for answers, by request id. Part of ``GatewayClient``'s isolated state.
struct PendingCalls {
    typealias Waiting = CheckedContinuation<Data, any Error>

    /// What has become of the answer that is due next.
    private enum Slot {
        /// Nobody waits for it yet.
        case expected
        case awaited(Waiting)
        /// It came before somebody waited.
        case settled(Result<Data, any Error>)
    }

    private struct Call {
        var slot = Slot.expected
        /// Whether another answer follows the one that is due.
        var isStaged: Bool
        /// Ends the waiting.
        var timer: Task<Void, Never>?
    }

    private var calls: [String: Call] = [:]
    private var lastId = 0

    /// How many calls wait.
    var count: Int { calls.count }

    /// Takes up a call, by its new id.
    mutating func open(isStaged: Bool) -> String {
        lastId += 1
        let id = String(lastId)
        calls[id] = Call(isStaged: isStaged)
        return id
    }

    /// Sets what ends the waiting for the answer that is due, in place of an earlier timer.
    mutating func setTimer(_ id: String, _ timer: Task<Void, Never>) {
        calls[id]?.timer?.cancel()
        if calls[id] == nil { timer.cancel() } else { calls[id]?.timer = timer }
    }

    /// Resumes the continuation with the answer that is due, at once or later.
    mutating func await(_ id: String, _ waiting: Waiting) {
        switch calls[id]?.slot {
        case .expected: calls[id]?.slot = .awaited(waiting)
        case .settled(let outcome):
            forget(id)
            waiting.resume(with: outcome)
        case .awaited, nil: waiting.resume(throwing: CancellationError())
        }
    }

    /// Hands an answer to its call; one for nobody is ignored (contract 12). After a good first answer the
    /// id of a staged call stays known.
    mutating func answer(_ id: String, ok: Bool, _ text: Data) {
        guard ok, calls[id]?.isStaged == true else { return settle(id, .success(text)) }
        guard let call = calls[id] else { return }
        call.timer?.cancel()
        calls[id] = Call(isStaged: false)
        if case .awaited(let waiting) = call.slot { waiting.resume(returning: text) }
    }

    /// Ends a call with its last answer or an error.
    mutating func settle(_ id: String, _ outcome: Result<Data, any Error>) {
        switch calls[id]?.slot {
        case .awaited(let waiting):
            forget(id)
            waiting.resume(with: outcome)
        case .expected:
            calls[id]?.timer?.cancel()
            calls[id]?.slot = .settled(outcome)
        case .settled, nil: break
        }
    }

    /// Ends every call with an error.
    mutating func failAll(_ error: any Error) {
        for id in Array(calls.keys) { settle(id, .failure(error)) }
    }

    /// Answers to this call are ignored from now on.
    mutating func forget(_ id: String) {
        calls.removeValue(forKey: id)?.timer?.cancel()
    }
}
