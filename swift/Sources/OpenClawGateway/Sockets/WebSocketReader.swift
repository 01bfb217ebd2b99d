import Foundation

/// Puts the bytes of a server together into messages: pure, bounded, fed in pieces of any size.
struct WebSocketReader {
    /// What the bytes say.
    enum Item: Hashable {
        case text(Data)
        case binary(Data)
        case ping(Data)
        case pong(Data)
        /// The server closes; no code where it gave none.
        case close(code: UInt16?, reason: String)
    }

    private struct Header {
        let final: Bool
        let opCode: WebSocketFrame.OpCode
        let length: Int
    }

    /// Largest message in bytes, all its fragments together.
    let maxMessage: Int
    /// Bytes that have come and are not used, from `start`.
    private var buffer: [UInt8] = []
    private var start = 0
    private var header: Header?
    /// Kind of the message whose fragments are coming.
    private var fragmentsOf: WebSocketFrame.OpCode?
    private var message = Data()
    private var closed = false

    init(maxMessage: Int) {
        self.maxMessage = maxMessage
    }

    /// Whether a frame or a message has begun and not ended.
    var isInsideMessage: Bool {
        start < buffer.count || header != nil || fragmentsOf != nil
    }

    /// Takes bytes from the connection.
    mutating func feed(_ bytes: some Collection<UInt8>) {
        buffer.append(contentsOf: bytes)
    }

    /// The next item, or `nil` until more bytes have come. Throws ``WebSocketViolation``, after
    /// which the reader is of no use. What follows a close is not read.
    mutating func next() throws -> Item? {
        while !closed {
            guard let header = try header ?? readHeader() else { return nil }
            self.header = header
            guard buffer.count - start >= header.length else {
                compact()
                return nil
            }
            let payload = buffer[start..<start + header.length]
            start += header.length
            self.header = nil
            let item = try take(header, payload)
            compact()
            if let item { return item }
        }
        return nil
    }

    private mutating func readHeader() throws -> Header? {
        let left = buffer.count - start
        guard left >= 2 else { return nil }
        let (first, second) = (buffer[start], buffer[start + 1])
        guard first & 0x70 == 0 else { throw WebSocketViolation.protocolError("a reserved bit is set") }
        guard let opCode = WebSocketFrame.OpCode(rawValue: first & 0x0f) else {
            throw WebSocketViolation.protocolError("opcode \(first & 0x0f) is not known")
        }
        guard second & 0x80 == 0 else { throw WebSocketViolation.protocolError("a server's frame is masked") }
        let final = first & 0x80 != 0
        let short = Int(second & 0x7f)
        if opCode.isControl {
            guard final else { throw WebSocketViolation.protocolError("a control frame is fragmented") }
            guard short <= WebSocketFrame.maxControlPayload else {
                throw WebSocketViolation.protocolError("a control frame is longer than 125 bytes")
            }
        }
        let extended = short < 126 ? 0 : short == 126 ? 2 : 8
        guard left >= 2 + extended else { return nil }
        var length = UInt64(short)
        if extended > 0 {
            length = buffer[start + 2..<start + 2 + extended].reduce(0) { $0 << 8 | UInt64($1) }
            guard length >> 63 == 0 else { throw WebSocketViolation.protocolError("a length is negative") }
            guard length > (extended == 2 ? 125 : 65535) else {
                throw WebSocketViolation.protocolError("a length is not in its shortest form")
            }
        }
        try check(opCode)
        if !opCode.isControl, length > UInt64(maxMessage - message.count) {
            throw WebSocketViolation.tooBig("a message is longer than \(maxMessage) bytes")
        }
        start += 2 + extended
        return Header(final: final, opCode: opCode, length: Int(length))
    }

    /// Whether a frame of this kind may come now.
    private func check(_ opCode: WebSocketFrame.OpCode) throws {
        switch opCode {
        case .continuation where fragmentsOf == nil:
            throw WebSocketViolation.protocolError("a continuation of nothing")
        case .text where fragmentsOf != nil, .binary where fragmentsOf != nil:
            throw WebSocketViolation.protocolError("a message begins inside another")
        default:
            break
        }
    }

    private mutating func take(_ header: Header, _ payload: ArraySlice<UInt8>) throws -> Item? {
        switch header.opCode {
        case .ping: return .ping(Data(payload))
        case .pong: return .pong(Data(payload))
        case .close:
            closed = true
            return try close(payload)
        case .text, .binary, .continuation:
            let kind = fragmentsOf ?? header.opCode
            message.append(contentsOf: payload)
            guard header.final else {
                fragmentsOf = kind
                return nil
            }
            let whole = message
            (message, fragmentsOf) = (Data(), nil)
            guard kind == .text else { return .binary(whole) }
            guard isUTF8(whole) else { throw WebSocketViolation.badText("a text is not UTF-8") }
            return .text(whole)
        }
    }

    private func close(_ payload: ArraySlice<UInt8>) throws -> Item {
        if payload.isEmpty { return .close(code: nil, reason: "") }
        guard payload.count >= 2 else { throw WebSocketViolation.protocolError("half a close code") }
        let code = payload.prefix(2).reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
        // RFC 6455, 7.4: 1004 to 1006 and 1015 are never sent, nor what nobody has registered.
        let known = (1000...1014).contains(code) && !(1004...1006).contains(code)
        guard known || (3000...4999).contains(code) else {
            throw WebSocketViolation.protocolError("\(code) is no close code")
        }
        let reason = payload.dropFirst(2)
        guard isUTF8(reason) else { throw WebSocketViolation.badText("a close reason is not UTF-8") }
        return .close(code: code, reason: String(decoding: reason, as: UTF8.self))
    }

    /// Drops the used bytes once they are the greater part, so that each is moved once at most.
    private mutating func compact() {
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= Self.keptCapacity)
            start = 0
        } else if start > buffer.count / 2 {
            buffer.removeFirst(start)
            start = 0
        }
    }

    /// Bytes of buffer that an idle connection keeps: one read's worth.
    private static let keptCapacity = 64 * 1024
}

/// Whether bytes are well-formed UTF-8.
func isUTF8(_ bytes: some Sequence<UInt8>) -> Bool {
    var iterator = bytes.makeIterator()
    var parser = Unicode.UTF8.ForwardParser()
    while true {
        switch parser.parseScalar(from: &iterator) {
        case .valid: continue
        case .emptyInput: return true
        case .error: return false
        }
    }
}
