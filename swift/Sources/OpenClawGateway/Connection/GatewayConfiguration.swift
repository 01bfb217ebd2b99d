import Foundation

/// Whom to connect to, as whom, and how patiently. What has a default is changed member by member.
public struct GatewayConfiguration: Sendable {
    /// Time for everything up to hello-ok: the original command line gives up after as long.
    public static let connectTimeout = Duration.seconds(10)
    /// Time for one call. Longer than `agent.wait` waits where it is not told otherwise.
    public static let callTimeout = Duration.seconds(60)
    /// Time for the second response of a staged call: the longest run that is not asked for explicitly,
    /// and a minute for what surrounds it.
    public static let finalTimeout = Duration.seconds(GatewayProtocol.Limits.agentTimeoutSeconds + 60)
    /// Largest message that is read, in bytes. What the original client accepts; the largest answer of a
    /// gateway is a chat history of a quarter of that.
    public static let maxMessage = 25 * 1024 * 1024
    /// Notices that wait for a slow subscriber before the oldest are dropped: some minutes of a busy
    /// gateway, or a burst of chat deltas of all its conversations.
    public static let eventBuffer = 1024

    /// The gateway.
    public var endpoint: GatewayEndpoint
    /// The gateway's shared token, if known.
    public var token: SecretString?
    /// The gateway's shared password, if known.
    public var password: SecretString?
    /// The program that connects, as the gateway and other clients will see it.
    public var client: Gateway.ConnectClient
    /// What the connection is for.
    public var role = GatewayProtocol.Role.operator
    /// What is asked for; the gateway's default for the role where empty.
    public var scopes: [GatewayProtocol.Scope] = []
    /// Node: capabilities.
    public var caps: [String] = []
    /// Node: commands that it carries out.
    public var commands: [String] = []
    /// Node: permissions that its user has given it.
    public var permissions: [String: Bool] = [:]
    /// Node: where its commands are looked for.
    public var pathEnv: String?
    /// Language of the user.
    public var locale: String?
    /// Free text.
    public var userAgent: String?
    /// This device. Without one the gateway admits only who knows its shared secret.
    public var identity: (any DeviceIdentity)?
    /// Where the device's tokens are kept; used together with ``identity`` only.
    public var tokenStore: (any DeviceTokenStore)?
    /// Whether and how to come back after the connection was lost.
    public var reconnect = GatewayReconnect.unlessRefused(GatewayBackoff())
    /// Time for everything up to hello-ok.
    public var connectTimeout = Self.connectTimeout
    /// Time for one call.
    public var callTimeout = Self.callTimeout
    /// Time for the second response of a staged call, from its first.
    public var finalTimeout = Self.finalTimeout
    /// Notices that wait for a slow subscriber; below 1 counts as 1.
    public var eventBuffer = Self.eventBuffer
    /// Opens sockets.
    public var dialer: any GatewayDialer
    /// What every waiting is measured by.
    public var clock: any Clock<Duration> = ContinuousClock()
    /// The wall clock in milliseconds since the epoch, for signatures.
    public var nowMs: @Sendable () -> Int = { Int(Date().timeIntervalSince1970 * 1000) }

    /// An operator that connects to a URL and stays connected. Throws ``GatewayEndpoint/BadURL``.
    public init(
        url: String,
        client: Gateway.ConnectClient,
        token: SecretString? = nil,
        dialer: any GatewayDialer = GatewayConfiguration.networkDialer
    ) throws {
        endpoint = try GatewayEndpoint(url)
        self.client = client
        self.token = token
        self.dialer = dialer
    }

    /// The dialer of this platform: `URLSession` on Apple's, the package's own socket on Linux.
    public static var networkDialer: any GatewayDialer {
        #if canImport(Darwin)
            URLSessionDialer()
        #else
            LinuxDialer()
        #endif
    }
}
