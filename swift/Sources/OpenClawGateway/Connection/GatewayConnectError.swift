import Foundation

/// There is no connection to the gateway; in words for the person at the client.
public enum GatewayConnectError: Error, Sendable, Hashable {
    /// Nothing answers there.
    case unreachable(url: String, why: String)
    /// Something answers that is no gateway.
    case notAGateway(url: String, why: String)
    /// The gateway did not come to an end with the handshake.
    case timeout(url: String, after: Duration)
    /// The connection ended in the handshake, without an answer.
    case ended(url: String, cause: GatewayDisconnect)
    /// The gateway speaks other versions of the protocol; its own, where it says so.
    case protocolMismatch(gateway: Int?)
    /// Token or password is missing or wrong; the gateway's text says which.
    case unauthorized(Gateway.ErrorShape)
    /// An operator has to admit this device first: the request to approve, where the gateway names it.
    case pairingRequired(requestId: String?)
    /// The gateway wants a device identity or its shared secret, and got neither.
    case deviceIdentityRequired
    /// Any other refusal.
    case refused(Gateway.ErrorShape)
    /// The gateway's hello is not one of this protocol.
    case badHello(url: String, why: String)
    /// What should be sent cannot be made: the device's key failed.
    case badIdentity(String)
    /// The client is connecting or reconnecting already.
    case busy
    /// The client has been closed, and stays so.
    case closed

    /// Whether the same attempt can only fail again, until somebody changes something on either side.
    public var isFinal: Bool {
        switch self {
        case .unreachable, .notAGateway, .timeout, .ended, .badHello, .busy: false
        case .protocolMismatch, .unauthorized, .pairingRequired, .deviceIdentityRequired, .badIdentity, .closed: true
        // A late challenge, a clock that is being set and trouble on the gateway's side are worth another
        // try.
        case .refused(let error):
            !error.says(.deviceNonceRequired) && !error.says(.deviceSignatureExpired)
                && GatewayProtocol.ErrorCode(rawValue: error.code) != .unavailable
        }
    }

    /// Sorts the gateway's answer to a connect by what its user can do about it.
    init(refusal error: Gateway.ErrorShape) {
        if error.says(.pairingRequired) {
            self = .pairingRequired(requestId: error.details(as: Gateway.PairingRequiredDetails.self)?.requestId)
        } else if error.says(.deviceIdentityRequired) {
            self = .deviceIdentityRequired
        } else if error.says(.protocolMismatch) {
            self = .protocolMismatch(gateway: error.details(as: Gateway.ProtocolMismatchDetails.self)?.expectedProtocol)
        } else if error.isUnauthorized {
            self = .unauthorized(error)
        } else {
            self = .refused(error)
        }
    }

    /// What an error of a socket means during the handshake.
    init(_ error: SocketError, url: String) {
        switch error {
        case .unreachable(let why): self = .unreachable(url: url, why: why)
        case .notAWebSocket(let why): self = .notAGateway(url: url, why: why)
        case .closedByPeer, .closedHere, .badPeer, .broken: self = .ended(url: url, cause: GatewayDisconnect(error))
        }
    }
}

extension GatewayConnectError: CustomStringConvertible, LocalizedError {
    public var description: String {
        switch self {
        case .unreachable(let url, let why):
            return "cannot reach the gateway at \(url): \(why). Is it running? Start it with `openclaw gateway`, or use another URL"
        case .notAGateway(let url, let why):
            return "what answers at \(url) is not a gateway: \(why)"
        case .timeout(let url, let after):
            return "the gateway at \(url) did not answer within \(after)"
        case .ended(let url, let cause):
            return "the gateway at \(url) ended the connection during the handshake: \(cause)"
        case .protocolMismatch(let gateway):
            let theirs = gateway.map { String($0) } ?? "another version"
            return "the gateway speaks protocol \(theirs), this client speaks \(GatewayProtocol.version): update the older of the two"
        case .unauthorized(let error):
            return error.message
        case .pairingRequired(let request):
            let named = request.map { " (request \($0))" } ?? ""
            return "this device waits for approval\(named): approve it from a client that is paired, then connect again"
        case .deviceIdentityRequired:
            return "the gateway wants to know this device: connect with a device identity, or pass the gateway's token"
        case .refused(let error):
            return "the gateway refused the connection: \(error.message)"
        case .badHello(let url, let why):
            return "the gateway at \(url) sent a hello that cannot be read: \(why)"
        case .badIdentity(let why):
            return "the device's key cannot be used: \(why)"
        case .busy:
            return "the client is connecting already"
        case .closed:
            return "the client has been closed"
        }
    }

    public var errorDescription: String? { description }
}

extension Gateway.ErrorShape {
    /// Clients know errors by their texts, since there are but five codes (contract 2.8).
    func says(_ known: GatewayProtocol.KnownError) -> Bool {
        message == known.text
    }

    /// Every refusal of a secret begins with the same word and a colon, whatever the reason.
    fileprivate var isUnauthorized: Bool {
        let word = GatewayProtocol.KnownError.tokenMismatch.text.prefix { $0 != ":" }
        guard message.hasPrefix(word) else { return false }
        let rest = message.dropFirst(word.count)
        return rest.isEmpty || rest.hasPrefix(":")
    }

    fileprivate func details<Details: Decodable>(as type: Details.Type) -> Details? {
        guard let details, let data = try? JSONEncoder().encode(details) else { return nil }
        return try? JSONDecoder().decode(type, from: data)
    }
}
