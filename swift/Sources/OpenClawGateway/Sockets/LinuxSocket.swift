#if canImport(Glibc)
    import Dispatch
    import Foundation

    /// A WebSocket over TCP, driven by dispatch sources on a queue of its own. Made by ``LinuxDialer``.
    actor LinuxSocket: GatewaySocket {
        /// Bytes that one read takes.
        private static let readSize = 64 * 1024
        /// Messages that wait for the receiver before the peer is no longer read from.
        private static let inboxMessages = 256
        /// How long a close waits: for its frame to be written, and for the peer to end the connection.
        private static let closeWait = Duration.seconds(1)

        private enum Stage {
            case new
            case connecting(WebSocketUpgrade)
            case upgrading(WebSocketUpgrade)
            case open
            /// A close frame is on its way; what comes is thrown away.
            case closing
            case ended
        }

        /// A frame or what is left of it.
        private struct Chunk {
            var bytes: Data
            var isBegun = false
            var isPong = false
            var sent: CheckedContinuation<Void, any Error>?
        }

        nonisolated let unownedExecutor: UnownedSerialExecutor
        private let executor: QueueExecutor
        private let limits: LinuxDialer
        private var descriptor: WatchedDescriptor?
        private var stage = Stage.new
        private var reader: WebSocketReader
        private var readBuffer: [UInt8] = []
        private var inbox: [Data] = []
        private var outbox: [Chunk] = []
        /// Why no message will come after those of the inbox.
        private var failure: SocketError?
        private var opening: CheckedContinuation<Void, any Error>?
        private var receiver: CheckedContinuation<Data, any Error>?
        private var closers: [CheckedContinuation<Void, Never>] = []
        /// Ends the connecting, a pause inside a message, or the closing.
        private var timer: Task<Void, Never>?

        init(_ limits: LinuxDialer) {
            executor = QueueExecutor("openclaw.socket")
            unownedExecutor = executor.asUnownedSerialExecutor()
            self.limits = limits
            reader = WebSocketReader(maxMessage: limits.maxMessage)
        }

        // MARK: For the user

        /// Connects and upgrades. Throws ``SocketError``.
        func open(_ address: NetworkAddress, _ endpoint: GatewayEndpoint) async throws {
            descriptor = try WatchedDescriptor(
                address, queue: executor.queue,
                onReadable: { [weak self] in self?.assumeIsolated { $0.readable() } },
                onWritable: { [weak self] in self?.assumeIsolated { $0.writable() } })
            stage = .connecting(WebSocketUpgrade(endpoint, nonce: (0..<16).map { _ in UInt8.random(in: 0...255) }))
            descriptor?.wantsWrite = true
            let limit = limits.connectTimeout
            startTimer(limit) { $0.fail($0.unanswered("no answer within \(limit)")) }
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { opening = $0 }
            } onCancel: {
                Task { await self.abandon() }
            }
        }

        func receive() async throws -> Data {
            if !inbox.isEmpty {
                defer { readOn() }
                return inbox.removeFirst()
            }
            if let failure { throw failure }
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { receiver = $0 }
            } onCancel: {
                Task { await self.abandon() }
            }
        }

        func send(_ text: Data) async throws {
            if let failure { throw failure }
            try await withCheckedThrowingContinuation { sent in
                outbox.append(Chunk(bytes: frame(.text, text), sent: sent))
                flush()
            }
        }

        func close(code: UInt16, reason: String) async {
            if failure == nil {
                inbox = []
                fail(.closedHere, code: code, reason: reason)
            }
            if case .ended = stage { return }
            await withCheckedContinuation { closers.append($0) }
        }

        // MARK: Reading

        private func readable() {
            if readBuffer.isEmpty { readBuffer = [UInt8](repeating: 0, count: Self.readSize) }
            switch descriptor?.read(into: &readBuffer) {
            case .moved(0)?: endOfStream()
            case .moved(let count)?: take(readBuffer[..<count])
            case .failed(let why)?: fail(unanswered(why))
            case .wait?, nil: break
            }
        }

        private func endOfStream() {
            if case .closing = stage { return end() }
            fail(unanswered("the peer ended the connection"))
        }

        /// What the failure of a connection means at this stage.
        private func unanswered(_ why: String) -> SocketError {
            switch stage {
            case .new, .connecting: .unreachable(why)
            case .upgrading: .notAWebSocket(why)
            case .open, .closing, .ended: .broken(why)
            }
        }

        private func take(_ bytes: ArraySlice<UInt8>) {
            switch stage {
            case .upgrading(var upgrade):
                do {
                    let rest = try upgrade.feed(bytes)
                    stage = .upgrading(upgrade)
                    guard let rest else { return }
                    stage = .open
                    timer?.cancel()
                    opening?.resume()
                    opening = nil
                    read(rest)
                } catch {
                    fail(.notAWebSocket((error as? WebSocketUpgrade.Refused)?.why ?? String(describing: error)))
                }
            case .open: read(bytes)
            case .new, .connecting, .closing, .ended: break
            }
        }

        private func read(_ bytes: some Collection<UInt8>) {
            reader.feed(bytes)
            do {
                while failure == nil, let item = try reader.next() { take(item) }
            } catch let violation as WebSocketViolation {
                fail(.badPeer(violation.what), code: violation.code)
            } catch {
                fail(.badPeer(String(describing: error)))
            }
            if failure == nil { watchForStall() }
        }

        private func take(_ item: WebSocketReader.Item) {
            switch item {
            case .text(let text):
                guard let receiver else { return inbox.append(text) }
                self.receiver = nil
                receiver.resume(returning: text)
            case .ping(let payload):
                // Of several pings only the latest needs an answer (RFC 6455, 5.5.3).
                outbox.removeAll { $0.isPong && !$0.isBegun }
                outbox.append(Chunk(bytes: frame(.pong, payload), isPong: true))
                flush()
            case .close(let code, let reason):
                fail(.closedByPeer(code: code, reason: reason), code: code)
            case .binary, .pong: break
            }
        }

        /// Reads from the peer as long as the inbox has room, and not inside a message for ever.
        private func readOn() {
            guard case .open = stage, descriptor?.wantsRead == false, inbox.count < Self.inboxMessages else { return }
            descriptor?.wantsRead = true
            watchForStall()
        }

        private func watchForStall() {
            timer?.cancel()
            if inbox.count >= Self.inboxMessages {
                descriptor?.wantsRead = false
            } else if reader.isInsideMessage {
                let limit = limits.stallTimeout
                startTimer(limit) { $0.fail(.broken("the peer paused for \(limit) inside a message")) }
            }
        }

        // MARK: Writing

        private func writable() {
            if case .connecting(let upgrade) = stage {
                if let why = descriptor?.connectError() { return fail(.unreachable(why)) }
                stage = .upgrading(upgrade)
                outbox.append(Chunk(bytes: upgrade.request))
                descriptor?.wantsRead = true
            }
            flush()
        }

        private func frame(_ opCode: WebSocketFrame.OpCode, _ payload: Data) -> Data {
            WebSocketFrame.masked(opCode, payload, mask: UInt32.random(in: 0...UInt32.max))
        }

        private func flush() {
            while let first = outbox.first {
                switch descriptor?.write(first.bytes) {
                case .moved(let count)? where count == first.bytes.count:
                    outbox.removeFirst().sent?.resume()
                case .moved(let count)?:
                    outbox[0].isBegun = true
                    outbox[0].bytes = Data(first.bytes.dropFirst(count))
                case .wait?:
                    descriptor?.wantsWrite = true
                    return
                case .failed(let why)?:
                    if case .closing = stage { return end() }
                    return fail(unanswered(why))
                case nil:
                    return
                }
            }
            descriptor?.wantsWrite = false
        }

        // MARK: Ending

        /// Nobody waits any more: the connection ends without a word.
        private func abandon() {
            receiver?.resume(throwing: CancellationError())
            opening?.resume(throwing: CancellationError())
            (receiver, opening) = (nil, nil)
            inbox = []
            if failure == nil { fail(.closedHere) }
        }

        /// The first failure ends the connection, with a close frame where the WebSocket is open.
        private func fail(_ error: SocketError, code: UInt16? = nil, reason: String = "") {
            guard failure == nil else { return }
            failure = error
            receiver?.resume(throwing: error)
            opening?.resume(throwing: error)
            (receiver, opening) = (nil, nil)
            let unsent = outbox
            // A frame that has begun must end before another can follow.
            outbox = outbox.filter(\.isBegun).map { Chunk(bytes: $0.bytes, isBegun: true) }
            for chunk in unsent { chunk.sent?.resume(throwing: error) }

            var answersClose = false
            if case .closedByPeer = error { answersClose = true }
            guard case .open = stage, code != nil || answersClose else { return end() }
            stage = .closing
            let payload = code.map { WebSocketFrame.closePayload(code: $0, reason: reason) } ?? Data()
            outbox.append(Chunk(bytes: frame(.close, payload)))
            descriptor?.wantsRead = true
            startTimer(Self.closeWait) { $0.end() }
            flush()
        }

        private func end() {
            if case .ended = stage { return }
            stage = .ended
            timer?.cancel()
            descriptor?.end()
            descriptor = nil
            outbox = []
            for closer in closers { closer.resume() }
            closers = []
        }

        private func startTimer(_ limit: Duration, _ action: @escaping @Sendable (isolated LinuxSocket) -> Void) {
            timer?.cancel()
            timer = Task { [clock = limits.clock] in
                do { try await clock.sleep(for: limit) } catch { return }
                if !Task.isCancelled { action(self) }
            }
        }
    }
#endif
