import Foundation

/// The client's half of RFC 6455's framing, as far as a gateway uses it: no extensions.
enum WebSocketFrame {
    /// Kinds of frames.
    enum OpCode: UInt8 {
        case continuation = 0x0
        case text = 0x1
        case binary = 0x2
        case close = 0x8
        case ping = 0x9
        case pong = 0xa

        var isControl: Bool { rawValue >= 0x8 }
    }

    /// Largest payload of a control frame in bytes (RFC 6455, 5.5).
    static let maxControlPayload = 125
    /// Bytes that a close frame's reason may have beside the code.
    static let maxCloseReason = maxControlPayload - 2

    /// One whole frame, masked as everything that a client sends.
    static func masked(_ opCode: OpCode, _ payload: Data, mask: UInt32) -> Data {
        var frame = Data(capacity: payload.count + 14)
        frame.append(0x80 | opCode.rawValue)
        switch payload.count {
        case ..<126:
            frame.append(0x80 | UInt8(payload.count))
        case ..<65536:
            frame.append(0x80 | 126)
            append(UInt64(payload.count), bytes: 2, to: &frame)
        default:
            frame.append(0x80 | 127)
            append(UInt64(payload.count), bytes: 8, to: &frame)
        }
        append(UInt64(mask), bytes: 4, to: &frame)
        let key = (0..<4).map { UInt8(truncatingIfNeeded: mask >> (24 - 8 * UInt32($0))) }
        var body = [UInt8](payload)
        body.withUnsafeMutableBufferPointer { body in
            for index in body.indices { body[index] ^= key[index & 3] }
        }
        frame.append(contentsOf: body)
        return frame
    }

    /// The payload of a close frame. A reason that is too long is cut between characters.
    static func closePayload(code: UInt16, reason: String) -> Data {
        var payload = Data()
        append(UInt64(code), bytes: 2, to: &payload)
        var cut = reason
        while cut.utf8.count > maxCloseReason { cut.removeLast() }
        payload.append(contentsOf: cut.utf8)
        return payload
    }

    private static func append(_ value: UInt64, bytes: Int, to data: inout Data) {
        for shift in stride(from: (bytes - 1) * 8, through: 0, by: -8) {
            data.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }
}

/// The peer broke the rules of RFC 6455.
struct WebSocketViolation: Error, Hashable {
    /// Code with which the connection is closed.
    let code: UInt16
    /// What it did.
    let what: String

    static func protocolError(_ what: String) -> Self { Self(code: 1002, what: what) }
    static func badText(_ what: String) -> Self { Self(code: 1007, what: what) }
    static func tooBig(_ what: String) -> Self { Self(code: 1009, what: what) }
}
