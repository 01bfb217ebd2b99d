#if canImport(Glibc)
    import Foundation

    /// Opens WebSockets on Linux, where Foundation's own depend on the version of a system library: TCP with
    /// a small client of RFC 6455. It has no TLS: `wss://` is refused, and a tunnel or a proxy on this host
    /// is the way to a far gateway.
    public struct LinuxDialer: GatewayDialer {
        /// Time for the TCP connection and the upgrade at one address.
        public static let connectTimeout = Duration.seconds(5)
        /// Longest pause inside a message: a peer that is alive goes on with what it began.
        public static let stallTimeout = Duration.seconds(30)

        /// Time for the TCP connection and the upgrade at one address.
        public var connectTimeout = Self.connectTimeout
        /// Longest pause inside a message.
        public var stallTimeout = Self.stallTimeout
        /// Largest message that is read, in bytes.
        public var maxMessage = GatewayConfiguration.maxMessage
        /// What every waiting is measured by.
        public var clock: any Clock<Duration> = ContinuousClock()

        /// A dialer with the usual limits.
        public init() {}

        public func dial(_ endpoint: GatewayEndpoint) async throws -> any GatewaySocket {
            guard !endpoint.isTLS else {
                throw SocketError.unreachable("wss:// needs TLS, which this package has on Apple platforms only")
            }
            var failure = SocketError.unreachable("the host has no address")
            for address in try await NetworkAddress.all(of: endpoint.host, port: endpoint.port) {
                let socket = LinuxSocket(self)
                do {
                    try await socket.open(address, endpoint)
                    return socket
                } catch let error as SocketError {
                    try Task.checkCancellation()
                    failure = error
                    // Somebody answers there; the other addresses are those of the same host.
                    guard case .unreachable = error else { throw error }
                }
            }
            throw failure
        }
    }
#endif
