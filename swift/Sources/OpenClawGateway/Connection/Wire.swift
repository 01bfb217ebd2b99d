import Foundation

/// Frames as text. The payload stays text here and is read where its type is known.
enum Wire {
    /// Text of a request; the params are JSON already.
    static func request(id: String, method: String, params: Data) throws -> Data {
        struct Head: Encodable {
            let type = Gateway.RequestFrame.TypeValue.req
            let id: String
            let method: String
        }
        // The head is an object with members: what it lacks goes in before its last brace.
        var text = try JSONEncoder().encode(Head(id: id, method: method)).dropLast()
        text.append(contentsOf: Data(",\"params\":".utf8))
        text.append(params)
        text.append(contentsOf: Data("}".utf8))
        return Data(text)
    }

    /// What a frame of the gateway is, without its payload. Members that are not known are skipped: a newer
    /// gateway may send them.
    struct Head: Decodable {
        let type: String
        let id: String?
        let ok: Bool?
        let event: String?
        let seq: Int?
    }

    /// A frame of the gateway.
    enum Inbound {
        /// The answer to the request of this id; the text is that of the whole frame.
        case response(id: String, ok: Bool, text: Data)
        case event(name: String, seq: Int?, text: Data)
    }

    /// Reads a frame; `nil` for what is none, which clients ignore (contract 12).
    static func read(_ text: Data) -> Inbound? {
        guard let head = try? JSONDecoder().decode(Head.self, from: text) else { return nil }
        switch head.type {
        case Gateway.ResponseFrame.TypeValue.res.rawValue:
            guard let id = head.id, let ok = head.ok else { return nil }
            return .response(id: id, ok: ok, text: text)
        case Gateway.EventFrame.TypeValue.event.rawValue:
            guard let name = head.event, head.seq.map({ $0 >= 0 }) ?? true else { return nil }
            return .event(name: name, seq: head.seq, text: text)
        default:
            return nil
        }
    }

    /// The event of a frame. A payload that does not fit the event's name is kept as it is; `nil` where the
    /// frame is no event at all.
    static func event(_ text: Data) -> GatewayEvent? {
        if let event = try? JSONDecoder().decode(GatewayEvent.self, from: text) { return event }
        guard let frame = try? JSONDecoder().decode(Gateway.EventFrame.self, from: text) else { return nil }
        return GatewayEvent(
            payload: .unknown(name: frame.event, payload: frame.payload), seq: frame.seq,
            stateVersion: frame.stateVersion)
    }

    /// The payload of a response's text; one that is absent counts as `null`. Throws ``GatewayRefusal`` where
    /// the gateway answered with an error, and `DecodingError`.
    static func payload<Payload: Decodable>(_ type: Payload.Type, of text: Data) throws -> Payload {
        try JSONDecoder().decode(Answer<Payload>.self, from: text).payload
    }

    private struct Answer<Payload: Decodable>: Decodable {
        enum Key: String, CodingKey { case ok, payload, error }
        let payload: Payload

        init(from decoder: any Decoder) throws {
            let frame = try decoder.container(keyedBy: Key.self)
            guard try frame.decode(Bool.self, forKey: .ok) else {
                throw GatewayRefusal(
                    error: try frame.decode(Gateway.ErrorShape.self, forKey: .error),
                    payload: try frame.decodeIfPresent(JSONValue.self, forKey: .payload))
            }
            payload =
                frame.contains(.payload)
                ? try frame.decode(Payload.self, forKey: .payload)
                : try JSONDecoder().decode(Payload.self, from: Data("null".utf8))
        }
    }
}
