#if canImport(Glibc)
    import Foundation
    import Glibc

    @testable import OpenClawGateway

    /// A TCP server on loopback that plays scripts of bytes, each on a thread of its own.
    final class LoopbackServer: Sendable {
        let port: UInt16
        private let listener: Int32

        init() throws {
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let (listener, length) = (listener, size)
            let outcome = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                    bind(listener, raw, length) == 0 && listen(listener, 8) == 0 && getsockname(listener, raw, &size) == 0
                }
            }
            guard outcome else { throw Unexpected(what: String(cString: strerror(errno))) }
            port = UInt16(bigEndian: address.sin_port)
        }

        deinit {
            Glibc.close(listener)
        }

        /// A port on which nobody listens.
        static func freePort() throws -> UInt16 {
            try LoopbackServer().port
        }

        /// Accepts one connection, plays the script, and closes it.
        func serve<Value: Sendable>(_ script: @escaping @Sendable (Connection) -> Value) async -> Value {
            await withCheckedContinuation { done in
                let listener = listener
                Thread.detachNewThread {
                    let connection = Connection(descriptor: accept(listener, nil, nil))
                    let value = script(connection)
                    Glibc.close(connection.descriptor)
                    done.resume(returning: value)
                }
            }
        }

        /// The server's end of a connection; its calls block.
        struct Connection: Sendable {
            let descriptor: Int32

            /// Reads the request's head and gives its lines.
            func readHead() -> [String] {
                var head: [UInt8] = []
                while !head.suffix(4).elementsEqual("\r\n\r\n".utf8), let byte = read(1).first { head.append(byte) }
                return String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
            }

            /// Reads the request and answers it as a WebSocket server.
            func upgrade() {
                let name = "Sec-WebSocket-Key: "
                let key = readHead().first { $0.hasPrefix(name) }?.dropFirst(name.count) ?? ""
                let accept = WebSocketUpgrade.accept(for: String(key))
                write(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n")
            }

            func write(_ text: String) {
                write(Array(text.utf8))
            }

            func write(_ bytes: [UInt8]) {
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    if count <= 0 { return }
                    rest = rest.dropFirst(count)
                }
            }

            /// So many bytes, or fewer where the client sends no more.
            func read(_ count: Int) -> [UInt8] {
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: min(count, 65536))
                while bytes.count < count {
                    let wanted = min(buffer.count, count - bytes.count)
                    let got = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, wanted, 0) }
                    if got <= 0 { break }
                    bytes += buffer[..<got]
                }
                return bytes
            }

            /// The client's next frame, unmasked; `nil` where it sends no more or does not mask.
            func frame() -> (opCode: UInt8, payload: [UInt8])? {
                let head = read(2)
                guard head.count == 2, head[0] & 0xf0 == 0x80, head[1] & 0x80 != 0 else { return nil }
                var length = Int(head[1] & 0x7f)
                if length > 125 { length = read(length == 126 ? 2 : 8).reduce(0) { $0 << 8 | Int($1) } }
                let mask = read(4)
                guard mask.count == 4 else { return nil }
                let payload = read(length).enumerated().map { $0.element ^ mask[$0.offset & 3] }
                return (head[0] & 0x0f, payload)
            }

            /// No more is sent.
            func finish() {
                shutdown(descriptor, Int32(SHUT_WR))
            }

            /// The connection is torn down instead of closed.
            func reset() {
                var now = linger(l_onoff: 1, l_linger: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
            }
        }
    }
#endif
