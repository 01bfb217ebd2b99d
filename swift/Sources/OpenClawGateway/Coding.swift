/// Any member name. What the generated coding uses where names are data.
struct WireKey: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init(stringLiteral value: String) { stringValue = value }
    init?(intValue: Int) { nil }
}

extension KeyedDecodingContainer {
    /// Absent is `nil`, `null` is `.some(nil)`.
    func decodePatch<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value?? {
        contains(key) ? .some(try decodeIfPresent(type, forKey: key)) : .none
    }
}

extension KeyedEncodingContainer {
    /// `nil` writes nothing, `.some(nil)` writes `null`.
    mutating func encodePatch<Value: Encodable>(_ value: Value??, forKey key: Key) throws {
        guard let value else { return }
        if let value {
            try encode(value, forKey: key)
        } else {
            try encodeNil(forKey: key)
        }
    }
}

extension Decoder {
    /// The members of an object that are not in the list.
    func members<Value: Decodable>(
        _ type: Value.Type, besides named: Set<String>
    ) throws -> [String: Value] {
        let container = try container(keyedBy: WireKey.self)
        var members: [String: Value] = [:]
        for key in container.allKeys where !named.contains(key.stringValue) {
            members[key.stringValue] = try container.decode(type, forKey: key)
        }
        return members
    }
}

extension Encoder {
    /// Writes members by name; what is written after them under the same names replaces them.
    func encode(members: [String: some Encodable]) throws {
        var container = container(keyedBy: WireKey.self)
        for (name, value) in members {
            try container.encode(value, forKey: WireKey(stringValue: name))
        }
    }
}
