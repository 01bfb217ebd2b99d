import Foundation

/// A call did not succeed, for another reason than the gateway's refusal, which is ``GatewayRefusal``.
public enum GatewayCallError: Error, Sendable, Hashable {
    /// No answer in time. The request may have been carried out all the same.
    case timeout(method: String, after: Duration)
    /// There is no connection at the moment. The request has not been sent.
    case notConnected
    /// The connection ended before the answer came. The request may have been carried out.
    case disconnected(GatewayDisconnect)
    /// Too many calls wait for their answers. The request has not been sent.
    case tooMany(limit: Int)
    /// The request is larger than the gateway accepts. It has not been sent.
    case tooBig(bytes: Int, limit: Int)
    /// The params cannot be written as JSON.
    case badParams(method: String, why: String)
    /// The gateway's answer is not what the method returns.
    case badAnswer(method: String, why: String)
}

extension GatewayCallError: CustomStringConvertible, LocalizedError {
    public var description: String {
        switch self {
        case .timeout(let method, let after): "\(method): no answer within \(after)"
        case .notConnected: "not connected to the gateway"
        case .disconnected(let cause): "the connection ended before the answer: \(cause)"
        case .tooMany(let limit): "\(limit) calls wait for their answers already"
        case .tooBig(let bytes, let limit): "the request has \(bytes) bytes, the gateway accepts \(limit)"
        case .badParams(let method, let why): "\(method): the params cannot be sent: \(why)"
        case .badAnswer(let method, let why): "\(method): the answer cannot be read: \(why)"
        }
    }

    public var errorDescription: String? { description }
}

extension GatewayRefusal: CustomStringConvertible, LocalizedError {
    /// The gateway's words.
    public var description: String { error.message }
    public var errorDescription: String? { description }
}
