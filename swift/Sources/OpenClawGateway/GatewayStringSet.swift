/// A set of strings that newer servers may widen: every string has a case.
public protocol GatewayStringSet: RawRepresentable, Codable, Sendable, Hashable, CustomStringConvertible
where RawValue == String {
    /// The case of a wire value; one that is not known keeps its text.
    init(rawValue: String)
    /// Every value that this version knows.
    static var known: [Self] { get }
}

extension GatewayStringSet {
    public init(from decoder: any Decoder) throws {
        self.init(rawValue: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// As on the wire.
    public var description: String { rawValue }
}
