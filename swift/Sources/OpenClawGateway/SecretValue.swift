/// Any JSON value that printing, dumping and string interpolation do not show.
public struct SecretValue: Sendable, Hashable {
    private let value: JSONValue

    /// Wraps a value that may hold secrets.
    public init(_ value: JSONValue) {
        self.value = value
    }

    /// The value itself, for the one place that needs it.
    public func expose() -> JSONValue {
        value
    }
}

extension SecretValue: Codable {
    public init(from decoder: any Decoder) throws {
        self.init(try JSONValue(from: decoder))
    }

    public func encode(to encoder: any Encoder) throws {
        try value.encode(to: encoder)
    }
}

extension SecretValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral
{
    public init(booleanLiteral value: Bool) { self.init(.bool(value)) }
    public init(integerLiteral value: Int) { self.init(.int(value)) }
    public init(floatLiteral value: Double) { self.init(.number(value)) }
    public init(stringLiteral value: String) { self.init(.string(value)) }
}

extension SecretValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "[redacted]" }
    public var debugDescription: String { "[redacted]" }
    /// No children: `dump` reads the mirror, not the description.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
