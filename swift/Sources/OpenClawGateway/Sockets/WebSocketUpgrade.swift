import Foundation

/// The HTTP part of a WebSocket's beginning, the client's side (RFC 6455, 4.1): pure and bounded.
struct WebSocketUpgrade {
    /// Bytes of a response head: proxies add a few hundred, nobody sends more than this in earnest.
    static let maxHead = 16 * 1024
    /// Header lines of a response.
    static let maxHeaders = 100
    /// What every server appends to the key before hashing it (RFC 6455, 1.3).
    private static let keySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    private static let headEnd: [UInt8] = Array("\r\n\r\n".utf8)

    /// The answer does not open a WebSocket.
    struct Refused: Error, Hashable {
        /// What is wrong with it.
        let why: String
    }

    private let endpoint: GatewayEndpoint
    private let key: String
    private var head: [UInt8] = []

    /// A handshake with 16 bytes of chance.
    init(_ endpoint: GatewayEndpoint, nonce: [UInt8]) {
        self.endpoint = endpoint
        key = Data(nonce).base64EncodedString()
    }

    /// The request.
    var request: Data {
        let lines = [
            "GET \(endpoint.path) HTTP/1.1",
            "Host: \(endpoint.hostHeader)",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: \(key)",
        ]
        return Data((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    /// The value of `Sec-WebSocket-Accept` that proves that a server has read the key.
    static func accept(for key: String) -> String {
        Data(SHA1.digest((key + keySuffix).utf8)).base64EncodedString()
    }

    /// Takes bytes of the answer. Gives what follows its head, which are frames already, once the
    /// head is complete and right; `nil` before. Throws ``Refused``.
    mutating func feed(_ bytes: some Collection<UInt8>) throws -> [UInt8]? {
        let searched = max(0, head.count - Self.headEnd.count)
        head.append(contentsOf: bytes)
        let end = (searched..<max(searched, head.count - 3)).first { head[$0..<$0 + 4].elementsEqual(Self.headEnd) }
        guard let end, end <= Self.maxHead else {
            if head.count > Self.maxHead { throw Refused(why: "its answer's head is longer than \(Self.maxHead) bytes") }
            return nil
        }
        try check(head[..<end])
        return Array(head[(end + 4)...])
    }

    private func check(_ head: ArraySlice<UInt8>) throws {
        let text = String(decoding: head, as: UTF8.self)
        var lines = text.components(separatedBy: "\r\n")
        let status = lines.removeFirst().split(separator: " ", maxSplits: 2)
        guard status.count >= 2, status[0] == "HTTP/1.1" else { throw Refused(why: "it does not speak HTTP/1.1") }
        guard status[1] == "101" else { throw Refused(why: "it answered HTTP \(status[1].prefix(3))") }
        guard lines.count <= Self.maxHeaders else { throw Refused(why: "it sent more than \(Self.maxHeaders) headers") }
        var headers: [String: [String]] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex, line[..<colon].allSatisfy(\.isToken) else {
                throw Refused(why: "it sent a header line that is none")
            }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: [" ", "\t"])
            headers[line[..<colon].lowercased(), default: []].append(value)
        }
        func tokens(_ name: String) -> [String] {
            (headers[name] ?? []).flatMap { $0.split(separator: ",") }
                .map { $0.trimmingCharacters(in: [" ", "\t"]).lowercased() }
        }
        guard tokens("upgrade") == ["websocket"], tokens("connection").contains("upgrade") else {
            throw Refused(why: "it did not upgrade to a WebSocket")
        }
        guard headers["sec-websocket-accept"] == [Self.accept(for: key)] else {
            throw Refused(why: "its answer to the WebSocket key is wrong")
        }
        guard headers["sec-websocket-extensions"] == nil, headers["sec-websocket-protocol"] == nil else {
            throw Refused(why: "it uses an extension or subprotocol that nobody asked for")
        }
    }
}

extension Character {
    /// Whether it may be part of a header's name (RFC 9110, 5.6.2).
    fileprivate var isToken: Bool {
        isASCII && (isLetter || isNumber || "!#$%&'*+-.^_`|~".contains(self))
    }
}
