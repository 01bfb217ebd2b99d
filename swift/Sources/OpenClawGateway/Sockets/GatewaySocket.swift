import Foundation

/// A WebSocket connection that carries text messages. ``GatewayClient`` is its user.
///
/// Pings are answered inside, binary messages are left out: gateways send text only (contract 1.2).
/// One task receives at a time; any number may send.
public protocol GatewaySocket: Sendable {
    /// The UTF-8 text of the next message. Throws ``SocketError`` when there will be none.
    ///
    /// A receive that is cancelled throws at once and takes the connection with it, since what was
    /// read of a message cannot be given back.
    func receive() async throws -> Data

    /// Sends one text message, given as UTF-8. Returns when it has left this process or waits in a
    /// bounded buffer. Throws ``SocketError``.
    func send(_ text: Data) async throws

    /// Closes the connection with a code and a reason of at most 123 bytes. A receive that waits
    /// throws ``SocketError/closedHere`` at once; the call itself returns when the peer knows, or
    /// has had a second to answer.
    func close(code: UInt16, reason: String) async
}

/// Opens sockets. Cancelling ends it at once.
public protocol GatewayDialer: Sendable {
    /// Connects to a gateway, the WebSocket handshake included. Throws ``SocketError``.
    func dial(_ endpoint: GatewayEndpoint) async throws -> any GatewaySocket
}

/// Why a socket is of no use, or no longer.
public enum SocketError: Error, Sendable, Hashable {
    /// Nothing answers there, or no encrypted connection could be made; in the system's words.
    case unreachable(String)
    /// Something answers that is no WebSocket server.
    case notAWebSocket(String)
    /// The peer closed it, with the code and the reason that it gave.
    case closedByPeer(code: UInt16?, reason: String)
    /// This side closed it.
    case closedHere
    /// The peer broke the WebSocket rules or sent more than is accepted.
    case badPeer(String)
    /// The connection broke.
    case broken(String)
}
