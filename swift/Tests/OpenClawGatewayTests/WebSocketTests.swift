import Foundation
import XCTest

@testable import OpenClawGateway

/// The parts of the WebSocket client that are free of I/O.
final class WebSocketTests: XCTestCase {
    private typealias Item = WebSocketReader.Item

    private func text(_ text: String) -> Item { .text(Data(text.utf8)) }

    /// What a reader makes of bytes: items, then a violation if there is one. Whatever the pieces are in
    /// which the bytes come, it has to be the same.
    private func check(_ bytes: [UInt8], _ items: [Item], _ violation: UInt16? = nil, max: Int = 1000, line: UInt = #line) {
        for piece in [bytes.count, 1, 2, 3, 7] where piece > 0 {
            var reader = WebSocketReader(maxMessage: max)
            var got: [Item] = []
            var code: UInt16?
            do {
                for start in stride(from: 0, to: bytes.count, by: piece) {
                    reader.feed(bytes[start..<min(start + piece, bytes.count)])
                    while let item = try reader.next() { got.append(item) }
                }
            } catch {
                code = (error as? WebSocketViolation)?.code
            }
            XCTAssertEqual(got, items, "in pieces of \(piece)", line: line)
            XCTAssertEqual(code, violation, "in pieces of \(piece)", line: line)
        }
    }

    func testMessagesAndControlFrames() {
        let long = [UInt8](repeating: 0x61, count: 200)
        check([0x81, 2, 0x68, 0x69], [text("hi")])
        check([0x81, 0, 0x82, 1, 7], [text(""), .binary(Data([7]))])
        check([0x81, 126, 0, 200] + long, [.text(Data(long))])
        check([0x89, 1, 5, 0x8a, 0, 0x81, 1, 0x78], [.ping(Data([5])), .pong(Data()), text("x")])
        // A ping between fragments, and a character that is cut by them.
        check([0x01, 1, 0xc3, 0x89, 0, 0x00, 0, 0x80, 1, 0xa9], [.ping(Data()), text("é")])
        check([0x02, 1, 1, 0x80, 1, 2], [.binary(Data([1, 2]))])
        check([0x81], [])
        check([0x01, 1, 0x61], [])
        let huge = [UInt8](repeating: 0x62, count: 70000)
        check([0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70] + huge, [.text(Data(huge))], max: 70000)
    }

    func testCloses() {
        check([0x88, 0, 0x81, 1, 0x78], [.close(code: nil, reason: "")])
        check([0x88, 4, 0x03, 0xf4, 0x68, 0x69], [.close(code: 1012, reason: "hi")])
        check([0x88, 2, 0x0f, 0xa0], [.close(code: 4000, reason: "")])
        check([0x88, 1, 3], [], 1002)
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] as [UInt16] {
            check([0x88, 2, UInt8(code >> 8), UInt8(code & 0xff)], [], 1002)
        }
        check([0x88, 3, 0x03, 0xe8, 0xff], [], 1007)
    }

    func testViolations() {
        let good: [UInt8] = [0x81, 1, 0x78]
        for (bytes, code) in [
            ([0xc1, 0], 1002), ([0xa1, 0], 1002), ([0x91, 0], 1002),
            ([0x83, 0], 1002), ([0x8b, 0], 1002),
            ([0x81, 0x81, 1, 2, 3, 4, 5], 1002),
            ([0x80, 0], 1002), ([0x00, 1, 1], 1002),
            ([0x01, 0, 0x81, 0], 1002), ([0x01, 0, 0x02, 0], 1002),
            ([0x09, 0], 1002), ([0x08, 0], 1002), ([0x89, 126, 0, 126], 1002),
            ([0x81, 126, 0, 125], 1002), ([0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 1002),
            ([0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),
            ([0x81, 1, 0xff], 1007), ([0x81, 3, 0xed, 0xa0, 0x80], 1007), ([0x81, 2, 0xc0, 0xaf], 1007),
            ([0x81, 1, 0xc3], 1007),
            // Said to be long: refused before it comes.
            ([0x81, 126, 0x03, 0xe9], 1009), ([0x82, 127, 0x7f, 0, 0, 0, 0, 0, 0, 0], 1009),
        ] as [([UInt8], UInt16)] {
            check(bytes, [], code)
            check(good + bytes, [text("x")], code)
        }
        let part = [UInt8](repeating: 0x61, count: 100)
        check([0x01, 100] + part + [0x00, 100] + part, [], 1009, max: 150)
        check([0x01, 100] + part + [0x80, 50] + part.prefix(50), [.text(Data(part + part.prefix(50)))], max: 150)
        check([0x02, 0, 0x80, 1, 1], [.binary(Data([1]))], max: 1)
    }

    func testNoBytesAtAllMakeItCrash() {
        for _ in 0..<2000 {
            var reader = WebSocketReader(maxMessage: 64)
            do {
                for _ in 0..<8 {
                    reader.feed((0..<Int.random(in: 0...12)).map { _ in UInt8.random(in: 0...255) })
                    while try reader.next() != nil {}
                }
            } catch {
                XCTAssertTrue(error is WebSocketViolation, "\(error)")
            }
        }
    }

    func testFramesThatAreSent() {
        let mask: UInt32 = 0x0102_0304
        XCTAssertEqual(
            Array(WebSocketFrame.masked(.text, Data("abcde".utf8), mask: mask)),
            [0x81, 0x85, 1, 2, 3, 4, 0x60, 0x60, 0x60, 0x60, 0x64])
        XCTAssertEqual(Array(WebSocketFrame.masked(.pong, Data(), mask: 0)), [0x8a, 0x80, 0, 0, 0, 0])
        for (count, head) in [
            (125, [0x82, 0xfd]), (126, [0x82, 0xfe, 0, 126]), (65535, [0x82, 0xfe, 0xff, 0xff]),
            (65536, [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] as [(Int, [UInt8])] {
            let frame = WebSocketFrame.masked(.binary, Data(count: count), mask: 0)
            XCTAssertEqual(Array(frame.prefix(head.count)), head)
            XCTAssertEqual(frame.count, head.count + 4 + count)
        }
        XCTAssertEqual(Array(WebSocketFrame.closePayload(code: 4000, reason: "x")), [0x0f, 0xa0, 0x78])
        let cut = WebSocketFrame.closePayload(code: 1000, reason: String(repeating: "é", count: 100))
        XCTAssertEqual(cut.count, 2 + 122)
    }

    func testUTF8() {
        for (bytes, good) in [
            ([], true), ([0x61, 0, 0x7f], true), ([0xf0, 0x9f, 0xa6, 0x9e], true), ([0xef, 0xbb, 0xbf], true),
            ([0x80], false), ([0xf4, 0x90, 0x80, 0x80], false), ([0xe2, 0x82], false), ([0xf8, 0x88, 0x80, 0x80, 0x80], false),
        ] as [([UInt8], Bool)] {
            XCTAssertEqual(isUTF8(bytes), good, "\(bytes)")
        }
    }

    /// RFC 3174, 7.3, and the lengths at which padding needs another block.
    func testSHA1() {
        for (message, digest) in [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
            (String(repeating: "0123456701234567012345670123456701234567012345670123456701234567", count: 10),
                "dea356a2cddd90c7a7ecedc5ebb563934f460452"),
            (String(repeating: "a", count: 55), "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
            (String(repeating: "a", count: 56), "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
        ] {
            XCTAssertEqual(SHA1.digest(message.utf8).map { String(format: "%02x", $0) }.joined(), digest, message)
        }
    }

    /// RFC 6455, 1.3.
    func testTheAcceptOfTheRFC() {
        XCTAssertEqual(WebSocketUpgrade.accept(for: "dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    func testUpgrades() throws {
        let endpoint = try GatewayEndpoint("ws://gw.example.com:18789/x?y=z")
        let nonce = Array("the sample nonce".utf8)
        let request = WebSocketUpgrade(endpoint, nonce: nonce).request
        XCTAssertEqual(
            String(decoding: request, as: UTF8.self),
            """
            GET /x?y=z HTTP/1.1\r
            Host: gw.example.com:18789\r
            Connection: Upgrade\r
            Upgrade: websocket\r
            Sec-WebSocket-Version: 13\r
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
            \r

            """)
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        let head = "HTTP/1.1 101 Switching Protocols"
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade"
        let good = "\(head)\r\n\(upgrade)\r\n\(accept)"
        for (answer, refusal) in [
            (good, nil),
            ("HTTP/1.1 101\r\nconnection:keep-alive, upgrade\r\nUPGRADE:  WebSocket \r\n\(accept.lowercased().replacingOccurrences(of: "s3pplmbitxaq9kygzzhzrbk+xoo=", with: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))", nil),
            ("HTTP/1.0 101 x\r\n\(upgrade)\r\n\(accept)", "HTTP/1.1"),
            ("SSH-2.0-x", "HTTP/1.1"),
            ("HTTP/1.1 426 Upgrade Required\r\n\(upgrade)\r\n\(accept)", "426"),
            ("\(head)\r\n\(upgrade)", "key"),
            ("\(head)\r\n\(upgrade)\r\n\(accept)x", "key"),
            ("\(good)\r\n\(accept)", "key"),
            ("\(head)\r\nConnection: Upgrade\r\n\(accept)", "upgrade"),
            ("\(head)\r\nUpgrade: websocket\r\n\(accept)", "upgrade"),
            ("\(head)\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\(accept)", "upgrade"),
            ("\(good)\r\nSec-WebSocket-Extensions: permessage-deflate", "extension"),
            ("\(good)\r\nSec-WebSocket-Protocol: chat", "extension"),
            ("\(good)\r\nno colon", "header line"),
            ("\(good)\r\n: x", "header line"),
            ("\(good)\r\nA B: x", "header line"),
            (good + String(repeating: "\r\nA: b", count: 100), "headers"),
            (good + "\r\nA: " + String(repeating: "b", count: WebSocketUpgrade.maxHead), "longer"),
        ] as [(String, String?)] {
            let rest: [UInt8] = [0x81, 0]
            let bytes = Array("\(answer)\r\n\r\n".utf8) + rest
            for piece in [bytes.count, 1, 5] {
                var upgrade = WebSocketUpgrade(endpoint, nonce: nonce)
                do {
                    var left: [UInt8]?
                    for start in stride(from: 0, to: bytes.count, by: piece) {
                        let bytes = bytes[start..<min(start + piece, bytes.count)]
                        if left != nil { left?.append(contentsOf: bytes) } else { left = try upgrade.feed(bytes) }
                    }
                    XCTAssertEqual(left, rest, answer)
                    XCTAssertNil(refusal, answer)
                } catch let error as WebSocketUpgrade.Refused {
                    XCTAssertTrue(refusal.map(error.why.contains) ?? false, "\(answer): \(error.why)")
                }
            }
        }
        // Without an end it is refused as soon as it is too long.
        var endless = WebSocketUpgrade(endpoint, nonce: nonce)
        XCTAssertNil(try endless.feed([UInt8](repeating: 0x61, count: WebSocketUpgrade.maxHead)))
        XCTAssertThrowsError(try endless.feed([0x61]))
    }

    func testEndpoints() throws {
        for (url, tls, host, port, header, path, shown) in [
            ("ws://127.0.0.1:18789", false, "127.0.0.1", 18789, "127.0.0.1:18789", "/", "ws://127.0.0.1:18789"),
            (" ws://127.0.0.1:18789/\n", false, "127.0.0.1", 18789, "127.0.0.1:18789", "/", "ws://127.0.0.1:18789"),
            ("WSS://gw.example.com", true, "gw.example.com", 443, "gw.example.com", "/", "wss://gw.example.com"),
            ("ws://h/a/b?c=d%20e", false, "h", 80, "h", "/a/b?c=d%20e", "ws://h/a/b?c=d%20e"),
            ("wss://[::1]:80", true, "::1", 80, "[::1]:80", "/", "wss://[::1]:80"),
        ] as [(String, Bool, String, UInt16, String, String, String)] {
            let endpoint = try GatewayEndpoint(url)
            XCTAssertEqual(endpoint.isTLS, tls, url)
            XCTAssertEqual(endpoint.host, host)
            XCTAssertEqual(endpoint.port, port)
            XCTAssertEqual(endpoint.hostHeader, header)
            XCTAssertEqual(endpoint.path, path)
            XCTAssertEqual(endpoint.description, shown)
            XCTAssertEqual(try GatewayEndpoint(shown), endpoint)
        }
        for (url, words) in [
            ("", "ws://"), ("127.0.0.1", "ws://"), ("localhost:1", "ws://"), ("http://h", "ws://"), ("ws://", "host"),
            ("ws://h:0", "port"), ("ws://h:65536", "port"), ("ws://user:hunter2@h", "token"), ("ws://a b", "spaces"),
            ("ws://h/\r\nX: y", "spaces"),
        ] {
            XCTAssertThrowsError(try GatewayEndpoint(url), url) { error in
                let shown = "\(error)"
                XCTAssertTrue(shown.contains(words), "\(url): \(shown)")
                XCTAssertFalse(shown.contains("hunter2"))
            }
        }
    }
}
