/// An event frame with its payload decoded by the event's name.
public struct GatewayEvent: Codable, Sendable, Hashable {
    /// What happened.
    public var payload: EventPayload
    /// Number of the broadcast on this connection, from 1; events for one connection alone have none.
    public var seq: Int?
    /// Versions of the state that the event belongs to.
    public var stateVersion: Gateway.StateVersion?

    public init(payload: EventPayload, seq: Int? = nil, stateVersion: Gateway.StateVersion? = nil) {
        self.payload = payload
        self.seq = seq
        self.stateVersion = stateVersion
    }

    private enum CodingKeys: String, CodingKey {
        case type, event, payload, seq, stateVersion
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let name = try container.decode(String.self, forKey: .event)
        payload = try EventPayload(name: name, from: container, forKey: .payload)
        seq = try container.decodeIfPresent(Int.self, forKey: .seq)
        stateVersion = try container.decodeIfPresent(Gateway.StateVersion.self, forKey: .stateVersion)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("event", forKey: .type)
        try container.encode(payload.name, forKey: .event)
        try payload.encode(into: &container, forKey: .payload)
        try container.encodeIfPresent(seq, forKey: .seq)
        try container.encodeIfPresent(stateVersion, forKey: .stateVersion)
    }
}
