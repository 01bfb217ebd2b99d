#if canImport(Glibc)
    import Dispatch
    import Foundation
    import Glibc

    /// A non-blocking TCP socket and the two dispatch sources that watch it. Belongs to one queue; the
    /// descriptor is closed when both sources have let go of it.
    final class WatchedDescriptor {
        /// How a read or a write went.
        enum Outcome {
            /// So many bytes; none means that the peer sends no more.
            case moved(Int)
            /// Nothing can be moved at the moment.
            case wait
            /// The system's words.
            case failed(String)
        }

        private let descriptor: Int32
        private let readSource: any DispatchSourceRead
        private let writeSource: any DispatchSourceWrite
        private var isEnded = false

        /// Whether the owner is told that bytes can be read.
        var wantsRead = false { didSet { if wantsRead != oldValue { Self.set(readSource, wantsRead) } } }
        /// Whether the owner is told that bytes can be written.
        var wantsWrite = false { didSet { if wantsWrite != oldValue { Self.set(writeSource, wantsWrite) } } }

        /// Begins to connect to an address; `onWritable` tells when ``connectError()`` is known.
        /// Throws ``SocketError/unreachable(_:)``.
        init(
            _ address: NetworkAddress, queue: DispatchQueue,
            onReadable: @escaping @Sendable () -> Void, onWritable: @escaping @Sendable () -> Void
        ) throws {
            let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let descriptor = socket(address.family, kind, 0)
            guard descriptor >= 0 else { throw SocketError.unreachable(Self.words(errno)) }
            var on: Int32 = 1
            // Requests are small and each is waited for; without it the call costs latency only.
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            guard address.connect(descriptor) == 0 || errno == EINPROGRESS else {
                let why = Self.words(errno)
                Glibc.close(descriptor)
                throw SocketError.unreachable(why)
            }
            self.descriptor = descriptor
            readSource = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
            writeSource = DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: queue)
            let released = DispatchGroup()
            released.enter()
            released.enter()
            readSource.setEventHandler(handler: onReadable)
            readSource.setCancelHandler { released.leave() }
            writeSource.setEventHandler(handler: onWritable)
            writeSource.setCancelHandler { released.leave() }
            released.notify(queue: queue) { Glibc.close(descriptor) }
        }

        deinit {
            end()
        }

        private static func set(_ source: any DispatchSourceProtocol, _ wanted: Bool) {
            if wanted { source.resume() } else { source.suspend() }
        }

        /// Lets go of the descriptor.
        func end() {
            if isEnded { return }
            isEnded = true
            readSource.cancel()
            writeSource.cancel()
            // A source that is suspended never runs its cancel handler.
            wantsRead = true
            wantsWrite = true
        }

        /// Why the connection could not be made; `nil` where it was.
        func connectError() -> String? {
            var (code, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
            guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { return Self.words(errno) }
            return code == 0 ? nil : Self.words(code)
        }

        /// Reads what is there into a buffer.
        func read(into buffer: inout [UInt8]) -> Outcome {
            outcome(of: buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) })
        }

        /// Writes as much as the system takes.
        func write(_ bytes: Data) -> Outcome {
            // Without a signal where the peer is gone.
            outcome(of: bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) })
        }

        private func outcome(of moved: Int) -> Outcome {
            if moved >= 0 { return .moved(moved) }
            let code = errno
            return code == EAGAIN || code == EWOULDBLOCK || code == EINTR ? .wait : .failed(Self.words(code))
        }

        static func words(_ code: Int32) -> String {
            String(cString: strerror(code))
        }
    }
#endif
