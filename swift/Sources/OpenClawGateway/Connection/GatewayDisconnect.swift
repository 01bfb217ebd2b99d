/// How an established connection ended.
public enum GatewayDisconnect: Error, Sendable, Hashable, CustomStringConvertible {
    /// The gateway closed it, with the code and the reason that it gave (contract 1.4).
    case byGateway(code: UInt16?, reason: String)
    /// This client closed it.
    case byClient
    /// The gateway's tick did not come for twice the announced interval.
    case silent
    /// The gateway broke the WebSocket rules or sent a message over the limit.
    case badPeer(String)
    /// The connection broke.
    case broken(String)

    /// What an error of a socket means for the connection over it.
    init(_ error: any Error) {
        switch error as? SocketError {
        case .closedByPeer(let code, let reason): self = .byGateway(code: code, reason: reason)
        case .closedHere: self = .byClient
        case .badPeer(let what): self = .badPeer(what)
        case .broken(let why), .unreachable(let why), .notAWebSocket(let why): self = .broken(why)
        case nil: self = .broken(String(describing: error))
        }
    }

    public var description: String {
        switch self {
        case .byGateway(let code, let reason):
            let code = code.map { String($0) } ?? "no code"
            return "closed by the gateway (\(reason.isEmpty ? code : "\(code): \(reason)"))"
        case .byClient: return "closed by this client"
        case .silent: return "the gateway has gone silent"
        case .badPeer(let what): return what
        case .broken(let why): return why
        }
    }
}
