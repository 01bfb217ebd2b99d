import Foundation

/// Any JSON value.
///
/// Decoding gives `NSNull`, `Bool`, `Int`, `Double`, `String`, `[AnyCodable]` or `[String: AnyCodable]`.
/// Encoding also takes the plain containers and numbers that app code puts in by hand.
///
/// Values are never mutated after they were put in, which is what makes sharing them safe.
public struct AnyCodable: Codable, @unchecked Sendable, Hashable {
    /// The value.
    public let value: Any

    /// Wraps a value. One that is no JSON value is refused when it is encoded.
    public init(_ value: Any) {
        self.value = value
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self.init(NSNull())
        } else if let value = try? container.decode(Bool.self) {
            // Before the numbers: a decoder may read `true` as 1, but never 1 as `true`.
            self.init(value)
        } else if let value = try? container.decode(Int.self) {
            self.init(value)
        } else if let value = try? container.decode(Double.self) {
            self.init(value)
        } else if let value = try? container.decode(String.self) {
            self.init(value)
        } else if let value = try? container.decode([AnyCodable].self) {
            self.init(value)
        } else {
            self.init(try container.decode([String: AnyCodable].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch Canonical(value) {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .int(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        case nil:
            let context = EncodingError.Context(
                codingPath: encoder.codingPath,
                debugDescription: "\(type(of: value)) is no JSON value")
            throw EncodingError.invalidValue(value, context)
        }
    }

    /// Equal as JSON values. Values that are none equal nothing.
    public static func == (left: AnyCodable, right: AnyCodable) -> Bool {
        guard let left = Canonical(left.value), let right = Canonical(right.value) else {
            return false
        }
        return left == right
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(Canonical(value))
    }
}

/// What a value is as JSON.
private enum Canonical: Hashable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case array([AnyCodable])
    case object([String: AnyCodable])

    init?(_ value: Any) {
        switch value {
        case is NSNull: self = .null
        case let value as AnyCodable:
            guard let inner = Canonical(value.value) else { return nil }
            self = inner
        // On Apple platforms Swift's numbers and booleans pass as NSNumber too, so it comes first and
        // its own type decides: `NSNumber(1) as? Bool` succeeds there.
        case let value as NSNumber: self.init(number: value)
        case let value as Bool: self = .bool(value)
        case let value as any BinaryInteger: self.init(integer: value)
        case let value as Double: self = .double(value)
        case let value as Float: self = .double(Double(value))
        case let value as String: self = .string(value)
        case let value as [AnyCodable]: self = .array(value)
        case let value as [String: AnyCodable]: self = .object(value)
        case let value as [Any]: self = .array(value.map(AnyCodable.init))
        case let value as [String: Any]: self = .object(value.mapValues(AnyCodable.init))
        default: return nil
        }
    }

    private init(number: NSNumber) {
        switch String(cString: number.objCType) {
        case "c", "B": self = .bool(number.boolValue)
        case "d", "f": self = .double(number.doubleValue)
        default: self.init(integer: number.int64Value)
        }
    }

    private init(integer: some BinaryInteger) {
        if let exact = Int(exactly: integer) {
            self = .int(exact)
        } else {
            self = .double(Double(integer))
        }
    }
}
