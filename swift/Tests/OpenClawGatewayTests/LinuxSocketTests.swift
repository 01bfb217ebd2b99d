#if canImport(Glibc)
    import Foundation
    import XCTest

    @testable import OpenClawGateway

    /// The socket of Linux against servers that misbehave, on loopback.
    final class LinuxSocketTests: XCTestCase {
        private func dialer(_ clock: ManualClock? = nil) -> LinuxDialer {
            var dialer = LinuxDialer()
            dialer.maxMessage = 100_000
            if let clock { dialer.clock = clock }
            return dialer
        }

        private func endpoint(_ server: LoopbackServer, host: String = "127.0.0.1") throws -> GatewayEndpoint {
            try GatewayEndpoint("ws://\(host):\(server.port)/path")
        }

        /// Messages up to the end, and the end.
        private func everything(from socket: any GatewaySocket) async throws -> ([String], SocketError?) {
            var messages: [String] = []
            while true {
                do {
                    messages.append(String(decoding: try await socket.receive(), as: UTF8.self))
                } catch {
                    return (messages, error as? SocketError)
                }
            }
        }

        func testWhatAServerSendsAndWhatItGetsForIt() async throws {
            let ended = SocketError.broken("the peer ended the connection")
            let hi: [UInt8] = [0x81, 2, 0x68, 0x69]
            let table: [(sent: [UInt8], messages: [String], end: SocketError, answered: [[UInt8]])] = [
                (hi, ["hi"], ended, []),
                (hi + [0x01, 1, 0xc3, 0x89, 1, 7, 0x80, 1, 0xa9], ["hi", "é"], ended, [[0xa, 7]]),
                ([0x82, 1, 1, 0x8a, 0] + hi, ["hi"], ended, []),
                (hi + [0x81, 5, 0x61], ["hi"], ended, []),
                (hi + [0x88, 0], ["hi"], .closedByPeer(code: nil, reason: ""), [[0x8]]),
                (
                    [0x88, 4, 0x03, 0xf4, 0x6f, 0x6b] + hi, [], .closedByPeer(code: 1012, reason: "ok"),
                    [[0x8, 0x03, 0xf4]]
                ),
                (hi + [0x81, 0x80, 0, 0, 0, 0], ["hi"], .badPeer("a server's frame is masked"), [[0x8, 0x03, 0xea]]),
                ([0x81, 1, 0xff], [], .badPeer("a text is not UTF-8"), [[0x8, 0x03, 0xef]]),
                (
                    [0x81, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa1], [], .badPeer("a message is longer than 100000 bytes"),
                    [[0x8, 0x03, 0xf1]]
                ),
                ([0x83, 0], [], .badPeer("opcode 3 is not known"), [[0x8, 0x03, 0xea]]),
            ]
            for row in table {
                let server = try LoopbackServer()
                async let answered = server.serve { connection in
                    connection.upgrade()
                    connection.write(row.sent)
                    connection.finish()
                    var frames: [[UInt8]] = []
                    while let frame = connection.frame() { frames.append([frame.opCode] + frame.payload) }
                    return frames
                }
                let socket = try await dialer().dial(endpoint(server))
                let (messages, end) = try await everything(from: socket)
                XCTAssertEqual(messages, row.messages, "\(row.sent)")
                XCTAssertEqual(end, row.end)
                let frames = await answered
                XCTAssertEqual(frames, row.answered, "\(row.sent)")
                let error = try await thrown { try await socket.send(Data()) } as? SocketError
                XCTAssertEqual(error, row.end)
                await socket.close(code: 1000, reason: "")
            }
        }

        func testAResetBreaksTheConnection() async throws {
            let server = try LoopbackServer()
            async let served: Void = server.serve { connection in
                connection.upgrade()
                _ = connection.frame()
                connection.reset()
            }
            let socket = try await dialer().dial(endpoint(server))
            try await socket.send(Data("x".utf8))
            guard case .broken? = try await everything(from: socket).1 else { return XCTFail("not broken") }
            await served
        }

        func testWhatIsNoWebSocketServer() async throws {
            let long = "HTTP/1.1 101 x\r\nA: " + String(repeating: "b", count: WebSocketUpgrade.maxHead)
            for (answer, why) in [
                ("", "ended the connection"), ("HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404"), ("SSH-2.0\r\n\r\n", "HTTP/1.1"),
                ("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", "key"),
                (long, "longer"),
            ] {
                let server = try LoopbackServer()
                async let request = server.serve { connection in
                    let head = connection.readHead()
                    connection.write(answer)
                    return head
                }
                let error = try await thrown { try await dialer().dial(endpoint(server)) } as? SocketError
                guard case .notAWebSocket(let shown)? = error, shown.contains(why) else {
                    return XCTFail("\(answer): \(String(describing: error))")
                }
                let head = await request
                XCTAssertEqual(head.first, "GET /path HTTP/1.1")
                XCTAssertTrue(head.contains("Host: 127.0.0.1:\(server.port)"), "\(head)")
            }
        }

        func testWhereNobodyAnswers() async throws {
            let port = try LoopbackServer.freePort()
            for (url, why) in [("ws://127.0.0.1:\(port)", "refused"), ("wss://127.0.0.1:\(port)", "TLS")] {
                let error = try await thrown { try await dialer().dial(GatewayEndpoint(url)) } as? SocketError
                guard case .unreachable(let shown)? = error, shown.contains(why) else {
                    return XCTFail("\(url): \(String(describing: error))")
                }
            }
        }

        func testANameIsLookedUpAndEachAddressTried() async throws {
            let server = try LoopbackServer()
            async let served: Void = server.serve { connection in
                connection.upgrade()
                connection.write([0x81, 1, 0x78])
            }
            let socket = try await dialer().dial(endpoint(server, host: "localhost"))
            let message = try await socket.receive()
            XCTAssertEqual(message, Data("x".utf8))
            await served
        }

        func testSilenceHasLimits() async throws {
            let clock = ManualClock()
            let server = try LoopbackServer()
            let dialer = dialer(clock)
            let endpoint = try endpoint(server)

            let (asked, hasAsked) = AsyncStream.makeStream(of: Void.self)
            async let silent = server.serve { connection in
                _ = connection.readHead()
                hasAsked.finish()
                return connection.read(1).count
            }
            async let refused = thrown { try await dialer.dial(endpoint) }
            for await _ in asked {}
            await clock.pass(.seconds(5))
            guard case .notAWebSocket? = try await refused as? SocketError else { return XCTFail("no timeout") }
            _ = await silent

            async let stalling = server.serve { connection in
                connection.upgrade()
                connection.write([0x81, 2, 0x68])
                return connection.read(1).count
            }
            let socket = try await dialer.dial(endpoint)
            async let end = thrown { try await socket.receive() }
            await clock.pass(.seconds(30))
            let stalled = try await end as? SocketError
            XCTAssertEqual(stalled, .broken("the peer paused for 30.0 seconds inside a message"))
            let sent = await stalling
            XCTAssertEqual(sent, 0)
        }

        func testClosingWaitsForThePeerButNotForEver() async throws {
            for answers in [true, false] {
                let clock = ManualClock()
                let server = try LoopbackServer()
                async let closed = server.serve { connection in
                    connection.upgrade()
                    let frame = connection.frame()
                    if answers { connection.finish() }
                    let rest = connection.read(1)
                    return (frame?.opCode, frame?.payload, rest.count)
                }
                let socket = try await dialer(clock).dial(endpoint(server))
                async let receiving = thrown { try await socket.receive() }
                async let closing: Void = socket.close(code: 4000, reason: "tick timeout")
                if !answers { await clock.pass(.seconds(1)) }
                await closing
                let end = try await receiving as? SocketError
                XCTAssertEqual(end, .closedHere)
                let (opCode, payload, rest) = await closed
                XCTAssertEqual(opCode, 8)
                XCTAssertEqual(payload, [0x0f, 0xa0] + Array("tick timeout".utf8))
                XCTAssertEqual(rest, 0)
            }
        }

        func testAPeerIsNotReadFromForEverAheadOfTheReceiver() async throws {
            let server = try LoopbackServer()
            // More than the inbox holds, so that reading stops and goes on.
            let count = 1000
            async let served: Void = server.serve { connection in
                connection.upgrade()
                for index in 0..<count {
                    let text = Array("\(index) ".utf8) + [UInt8](repeating: 0x2e, count: 2000)
                    connection.write([0x81, 126, UInt8(text.count >> 8), UInt8(text.count & 0xff)] + text)
                }
                connection.write([0x88, 0])
                _ = connection.read(100)
            }
            let socket = try await dialer().dial(endpoint(server))
            let (messages, end) = try await everything(from: socket)
            XCTAssertEqual(messages.count, count)
            XCTAssertEqual(messages.map { $0.prefix { $0 != " " } }, (0..<count).map { Substring(String($0)) })
            XCTAssertEqual(end, .closedByPeer(code: nil, reason: ""))
            await served
        }

        func testLargeMessagesAreSentWhole() async throws {
            let server = try LoopbackServer()
            let sizes = [0, 125, 126, 65535, 65536, 3_000_000]
            async let received = server.serve { connection in
                connection.upgrade()
                return sizes.map { _ in connection.frame()?.payload ?? [] }
            }
            let socket = try await dialer().dial(endpoint(server))
            let messages = sizes.map { size in Data((0..<size).map { UInt8(truncatingIfNeeded: $0) }) }
            // All at once: each has to leave as a whole, in this order or another.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for message in messages { group.addTask { try await socket.send(message) } }
                try await group.waitForAll()
            }
            let got = await received
            XCTAssertEqual(got.map(\.count).sorted(), sizes)
            for payload in got { XCTAssertEqual(Data(payload), messages.first { $0.count == payload.count }) }
            await socket.close(code: 1000, reason: "")
        }

        func testCancellingEndsDialsAndReceives() async throws {
            let server = try LoopbackServer()
            let (dialer, endpoint) = (dialer(), try endpoint(server))
            let (asked, hasAsked) = AsyncStream.makeStream(of: Void.self)
            async let silent = server.serve { connection in
                _ = connection.readHead()
                hasAsked.finish()
                return connection.read(1).count
            }
            let dialling = Task { try await dialer.dial(endpoint) }
            for await _ in asked {}
            dialling.cancel()
            let dialled = try await thrown { try await dialling.value }
            XCTAssertTrue(dialled is CancellationError, "\(dialled)")
            let more = await silent
            XCTAssertEqual(more, 0)
            let early = Task { try await dialer.dial(endpoint) }
            early.cancel()
            let never = try await thrown { try await early.value }
            XCTAssertTrue(never is CancellationError, "\(never)")

            let other = try LoopbackServer()
            async let served = other.serve { connection in
                connection.upgrade()
                return connection.read(1).count
            }
            let socket = try await dialer.dial(GatewayEndpoint("ws://127.0.0.1:\(other.port)"))
            let receiving = Task { try await socket.receive() }
            receiving.cancel()
            let received = try await thrown { try await receiving.value }
            XCTAssertTrue(received is CancellationError, "\(received)")
            let rest = await served
            XCTAssertEqual(rest, 0)
        }
    }
#endif
