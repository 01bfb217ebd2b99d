import Foundation

/// A connection to a gateway that comes back when it is lost.
///
/// Typed calls are the methods of ``GatewayTransport``. Calls do not wait for a lost connection: they fail
/// with ``GatewayCallError/notConnected``, and those that were waiting for an answer with
/// ``GatewayCallError/disconnected(_:)``. A client that is connected lives until ``close()``.
public actor GatewayClient {
    /// Most calls that may wait for answers at a time, second stages included. Far above what one program
    /// has in flight; a program over it has lost count.
    public static let maxPending = 1024
    /// What a gateway may announce as its tick interval; anything else is taken for the nearer bound.
    static let tickBounds = Duration.seconds(1)...Duration.seconds(3600)
    /// States that wait for a slow observer; the oldest go first, since only the newest matters.
    private static let stateBuffer = 16
    /// Sent when ticks stay away, as by the original client (contract 1.4).
    private static let tickTimeout = GatewayProtocol.Close(code: 4000, reason: "tick timeout")

    nonisolated let configuration: GatewayConfiguration

    /// What the client is doing.
    public private(set) var state = GatewayState.idle {
        didSet { if state != oldValue { for observer in observers.values { observer.yield(state) } } }
    }

    var pending = PendingCalls()
    var board: NoticeBoard
    private(set) var link: Link?
    private var lastHello: Gateway.HelloOk?
    private var outbox: [Data] = []
    private var isWriting = false
    /// The attempt to connect that is under way.
    private var attempt: Task<Link, any Error>?
    /// Serves the connection and brings it back.
    private var keeper: Task<Void, Never>?
    /// The delay before the next attempt.
    private var delay: Task<Void, any Error>?
    private var watchdog: Task<Void, Never>?
    private var sequence = SequenceWatch()
    /// Why this side ends the connection.
    private var ending: GatewayDisconnect?
    private var isClosing = false
    private var observers: [Int: AsyncStream<GatewayState>.Continuation] = [:]

    /// A client that is not connected.
    public init(_ configuration: GatewayConfiguration) {
        self.configuration = configuration
        board = NoticeBoard(capacity: configuration.eventBuffer)
    }

    /// Connects, which includes the handshake, and keeps the connection from then on as
    /// ``GatewayConfiguration/reconnect`` says. A first attempt that fails is not repeated; it may be made
    /// again. Gives the hello at once where there is a connection.
    ///
    /// Throws ``GatewayConnectError``, and `CancellationError` where the task is cancelled.
    @discardableResult
    public func connect() async throws -> Gateway.HelloOk {
        switch state {
        case .connected: if let link { return link.hello }
        case .idle: break
        case .connecting, .reconnecting: throw GatewayConnectError.busy
        case .closed: throw GatewayConnectError.closed
        }
        state = .connecting
        do {
            let link = try await establish()
            attach(link)
            keeper = Task { await keep(link) }
            return link.hello
        } catch {
            if isClosing {
                end(.byClient)
                throw GatewayConnectError.closed
            }
            state = .idle
            throw error
        }
    }

    /// The hello of the present connection, or of the last one.
    public var hello: Gateway.HelloOk? { lastHello }

    /// The gateway's events and what happens to the connection, from now on. Ask before ``connect()``, or
    /// before the calls whose events are wanted.
    public func events() -> GatewayEvents {
        GatewayEvents(self, board.subscribe())
    }

    /// What the client is doing, from its present state on. Ends when the client is closed. Of states that
    /// an observer is too slow for, the oldest are left out.
    public func states() -> AsyncStream<GatewayState> {
        let (stream, observer) = AsyncStream.makeStream(
            of: GatewayState.self, bufferingPolicy: .bufferingNewest(Self.stateBuffer))
        observer.yield(state)
        if case .closed = state {
            observer.finish()
            return stream
        }
        let number = board.nextNumber()
        observers[number] = observer
        observer.onTermination = { [weak self] _ in
            Task { [weak self] in await self?.removeObserver(number) }
        }
        return stream
    }

    /// Closes the connection and waits until that is done; the client stays closed. Calls that wait fail.
    public func close() async {
        isClosing = true
        attempt?.cancel()
        delay?.cancel()
        if let keeper {
            if ending == nil { ending = .byClient }
            await link?.socket.close(code: GatewayProtocol.Close.normal.code, reason: "")
            await keeper.value
        } else {
            _ = await attempt?.result
            end(.byClient)
        }
    }

    // MARK: The connection

    /// One attempt that ``close()`` can cancel, and the caller's task with it.
    private func establish() async throws -> Link {
        let attempt = Task { [configuration] in try await ConnectHandshake(configuration: configuration).establish() }
        self.attempt = attempt
        defer { self.attempt = nil }
        let link = try await withTaskCancellationHandler { try await attempt.value } onCancel: { attempt.cancel() }
        guard !isClosing else {
            await link.socket.close(code: GatewayProtocol.Close.normal.code, reason: "")
            throw CancellationError()
        }
        return link
    }

    private func attach(_ link: Link) {
        (self.link, lastHello, sequence, ending) = (link, link.hello, SequenceWatch(), nil)
        watch()
        state = .connected
    }

    private func detach(_ cause: GatewayDisconnect) {
        watchdog?.cancel()
        link = nil
        outbox = []
        pending.failAll(GatewayCallError.disconnected(cause))
        board.post(.disconnected(cause))
    }

    private func end(_ cause: GatewayDisconnect) {
        if case .closed = state { return }
        state = .closed(cause)
        board.end()
        for observer in observers.values { observer.finish() }
        observers = [:]
    }

    private func keep(_ first: Link) async {
        var cause = await serve(first)
        detach(cause)
        while !isClosing, let link = await reconnect() {
            attach(link)
            board.post(.reconnected(link.hello))
            cause = await serve(link)
            detach(cause)
        }
        end(isClosing ? .byClient : cause)
    }

    /// Reads until the connection ends.
    private func serve(_ link: Link) async -> GatewayDisconnect {
        do {
            while true { take(try await link.socket.receive()) }
        } catch {
            // What came last was the answer to this side's own close, where there was one.
            return ending ?? GatewayDisconnect(error)
        }
    }

    private func take(_ text: Data) {
        switch Wire.read(text) {
        case .response(let id, let ok, let text)?:
            pending.answer(id, ok: ok, text)
        case .event(let name, let seq, let text)?:
            if name == "tick" { watch() }
            if let seq, let expected = sequence.gap(before: seq) {
                board.post(.gap(expected: expected, received: seq))
            }
            if board.subscriberCount > 0, let event = Wire.event(text) { board.post(.event(event)) }
        case nil:
            break
        }
    }

    /// Ends the connection unless another tick comes within two intervals: one may be late.
    private func watch() {
        watchdog?.cancel()
        guard let link else { return }
        let announced = Duration.milliseconds(link.hello.policy.tickIntervalMs)
        let interval = min(max(announced, Self.tickBounds.lowerBound), Self.tickBounds.upperBound)
        watchdog = Task { [clock = configuration.clock] in
            do { try await clock.sleep(for: interval * 2) } catch { return }
            if Task.isCancelled || ending != nil { return }
            ending = .silent
            await link.socket.close(code: Self.tickTimeout.code, reason: Self.tickTimeout.reason)
        }
    }

    /// Tries until there is a connection; `nil` where there will be none.
    private func reconnect() async -> Link? {
        let (backoff, always): (GatewayBackoff, Bool)
        switch configuration.reconnect {
        case .never: return nil
        case .unlessRefused(let given): (backoff, always) = (given, false)
        case .always(let given): (backoff, always) = (given, true)
        }
        var attempt = 0
        while !isClosing {
            state = .reconnecting(attempt: attempt + 1)
            let pause = backoff.delay(before: attempt)
            let delay = Task { [clock = configuration.clock] in try await clock.sleep(for: pause) }
            self.delay = delay
            guard (try? await delay.value) != nil, !isClosing else { return nil }
            attempt += 1
            do {
                return try await establish()
            } catch let error as GatewayConnectError where error.isFinal && !always && !isClosing {
                board.post(.gaveUp(error))
                return nil
            } catch {
                continue
            }
        }
        return nil
    }

    // MARK: Writing

    /// Puts a frame behind those that wait for the socket. There are no more of them than calls that wait.
    func write(_ text: Data) {
        outbox.append(text)
        if isWriting { return }
        isWriting = true
        Task { await drain() }
    }

    private func drain() async {
        defer { isWriting = false }
        while let link, !outbox.isEmpty {
            // A failure ends the receiving too, which then fails the calls.
            try? await link.socket.send(outbox.removeFirst())
        }
    }

    // MARK: Subscribers

    func unsubscribe(_ subscriber: Int) {
        board.unsubscribe(subscriber)
    }

    func nextNotice(_ subscriber: Int) async -> GatewayNotice? {
        let reader = board.nextNumber()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { board.read(subscriber, reader: reader, $0) }
        } onCancel: {
            Task { await self.cancelRead(subscriber, reader) }
        }
    }

    private func cancelRead(_ subscriber: Int, _ reader: Int) {
        board.cancel(subscriber, reader: reader)
    }

    private func removeObserver(_ number: Int) {
        observers[number] = nil
    }
}
