import Foundation

/// Moves a request over a connection. Every method of the protocol is a typed call on it (`Calls.swift`).
public protocol GatewayTransport: Sendable {
    /// One request, one response.
    ///
    /// Throws ``GatewayRefusal`` where the server answered with an error.
    func call<Params: Encodable & Sendable, Answer: Decodable & Sendable>(
        _ method: GatewayMethod, _ params: Params
    ) async throws -> Answer

    /// One request, two responses with the same id. Returns with the first of them.
    ///
    /// Throws ``GatewayRefusal`` where the first response is an error.
    func callStaged<Params: Encodable & Sendable, First: Decodable & Sendable, Last: Decodable & Sendable>(
        _ method: GatewayMethod, _ params: Params
    ) async throws -> StagedAnswer<First, Last>
}

/// What a call in two stages gives.
public enum StagedAnswer<First: Sendable, Last: Sendable>: Sendable {
    /// The first response came; `last` waits for the final one and may be awaited more than once.
    case running(first: First, last: Task<Last, any Error>)
    /// A repeated key of a request that had ended: its final payload came at once.
    case ended(Last)

    /// The first response; `nil` where only the final one came.
    public var first: First? {
        switch self {
        case .running(let first, _): first
        case .ended: nil
        }
    }

    /// Waits for the final response.
    public var last: Last {
        get async throws {
            switch self {
            case .running(_, let last): try await last.value
            case .ended(let last): last
            }
        }
    }
}

/// The server answered a request with an error.
public struct GatewayRefusal: Error, Sendable, Hashable {
    /// Code, text and details.
    public let error: Gateway.ErrorShape
    /// What the response carried beside the error.
    public let payload: JSONValue?

    public init(error: Gateway.ErrorShape, payload: JSONValue? = nil) {
        self.error = error
        self.payload = payload
    }

    /// The error's code.
    public var code: GatewayProtocol.ErrorCode {
        GatewayProtocol.ErrorCode(rawValue: error.code)
    }

    /// The payload as the type that the method's documentation names; `nil` where there is none.
    ///
    /// Throws `DecodingError` where the payload is something else.
    public func payload<Payload: Decodable>(as type: Payload.Type) throws -> Payload? {
        guard let payload else { return nil }
        return try JSONDecoder().decode(type, from: JSONEncoder().encode(payload))
    }
}
