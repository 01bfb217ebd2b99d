/// The subscribers of one client and what waits for them. Part of ``GatewayClient``'s isolated state.
struct NoticeBoard {
    private struct Subscriber {
        var waiting: [GatewayNotice] = []
        var dropped = 0
        /// Those that wait for the next notice, in order.
        var readers: [(number: Int, continuation: CheckedContinuation<GatewayNotice?, Never>)] = []

        /// The next notice, if there is one.
        mutating func take() -> GatewayNotice? {
            if dropped > 0 {
                defer { dropped = 0 }
                return .dropped(count: dropped)
            }
            return waiting.isEmpty ? nil : waiting.removeFirst()
        }

        /// Hands a notice to the first reader, or lets it wait and drops the oldest where too many do.
        mutating func add(_ notice: GatewayNotice, capacity: Int) {
            guard readers.isEmpty else {
                readers.removeFirst().continuation.resume(returning: notice)
                return
            }
            waiting.append(notice)
            if waiting.count > capacity {
                waiting.removeFirst()
                dropped += 1
            }
        }
    }

    private let capacity: Int
    private var subscribers: [Int: Subscriber] = [:]
    private var lastNumber = 0
    private var ended = false

    /// At most `capacity` notices wait for each subscriber.
    init(capacity: Int) {
        self.capacity = max(1, capacity)
    }

    /// How many get what is posted.
    var subscriberCount: Int { subscribers.count }

    /// A new subscriber, by its number.
    mutating func subscribe() -> Int {
        subscribers[nextNumber()] = Subscriber()
        return lastNumber
    }

    /// Forgets a subscriber.
    mutating func unsubscribe(_ subscriber: Int) {
        guard let gone = subscribers.removeValue(forKey: subscriber) else { return }
        for reader in gone.readers { reader.continuation.resume(returning: nil) }
    }

    /// Tells all subscribers.
    mutating func post(_ notice: GatewayNotice) {
        for number in subscribers.keys {
            subscribers[number]?.add(notice, capacity: capacity)
        }
    }

    /// No notice will come any more.
    mutating func end() {
        ended = true
        for number in subscribers.keys {
            for reader in subscribers[number]?.readers ?? [] { reader.continuation.resume(returning: nil) }
            subscribers[number]?.readers = []
        }
    }

    /// A number for a reader that may have to wait, see ``read(_:reader:_:)``.
    mutating func nextNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// Resumes the reader with the subscriber's next notice, at once or later.
    mutating func read(_ subscriber: Int, reader: Int, _ continuation: CheckedContinuation<GatewayNotice?, Never>) {
        if let notice = subscribers[subscriber]?.take() {
            continuation.resume(returning: notice)
        } else if ended || subscribers[subscriber] == nil {
            continuation.resume(returning: nil)
        } else {
            subscribers[subscriber]?.readers.append((reader, continuation))
        }
    }

    /// The reader does not wait any longer.
    mutating func cancel(_ subscriber: Int, reader: Int) {
        guard let at = subscribers[subscriber]?.readers.firstIndex(where: { $0.number == reader }) else { return }
        subscribers[subscriber]?.readers.remove(at: at).continuation.resume(returning: nil)
    }
}

/// Finds holes in the sequence numbers of one connection.
struct SequenceWatch {
    private var last: Int?

    /// Takes note of a number. Gives what was expected instead, where numbers were left out. The first may
    /// be any, and numbers that go back count as a new start (contract 12).
    mutating func gap(before seq: Int) -> Int? {
        defer { last = seq }
        guard let last, last < seq - 1 else { return nil }
        return last + 1
    }
}
