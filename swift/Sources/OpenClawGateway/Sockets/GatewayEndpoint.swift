import Foundation

/// Where a gateway is: `ws://host[:port][/path]`, or the same with `wss` for TLS.
public struct GatewayEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// Whether the connection is encrypted.
    public let isTLS: Bool
    /// Host name or address, IPv6 without brackets.
    public let host: String
    /// TCP port; 80 or 443 where the URL names none.
    public let port: UInt16
    /// Path and query for the request line, `/` at least.
    public let path: String

    /// The text is no URL of a gateway.
    public struct BadURL: Error, Sendable, Hashable, CustomStringConvertible {
        /// What is wrong with it. The text itself is not repeated: it may hold a password.
        public let why: String
        public var description: String { "not the URL of a gateway: \(why)" }
    }

    /// Reads a URL. Throws ``BadURL``.
    public init(_ url: String) throws {
        let trimmed = url.trimmingCharacters(in: .whitespacesAndNewlines)
        guard trimmed.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw BadURL(why: "expected ASCII without spaces, as in ws://127.0.0.1:18789")
        }
        guard let parts = URLComponents(string: trimmed) else {
            throw BadURL(why: "expected ws://host:port or wss://host:port")
        }
        switch parts.scheme?.lowercased() {
        case "ws": isTLS = false
        case "wss": isTLS = true
        default: throw BadURL(why: "it has to begin with ws:// or wss://")
        }
        guard parts.user == nil, parts.password == nil else {
            throw BadURL(why: "a user name or password does not belong in it; pass a token instead")
        }
        let named = (parts.host ?? "").trimmingCharacters(in: ["[", "]"])
        guard !named.isEmpty else { throw BadURL(why: "it names no host") }
        host = named
        // URLComponents also takes ports that no TCP connection has.
        guard let port = UInt16(exactly: parts.port ?? Self.defaultPort(isTLS)), port > 0 else {
            throw BadURL(why: "the port has to be a number from 1 to 65535")
        }
        self.port = port
        let query = parts.percentEncodedQuery.map { "?\($0)" } ?? ""
        path = (parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath) + query
    }

    private static func defaultPort(_ isTLS: Bool) -> Int {
        isTLS ? 443 : 80
    }

    /// Value of the `Host` header: the port is left out where it is the scheme's own.
    var hostHeader: String {
        let host = host.contains(":") ? "[\(host)]" : host
        return Int(port) == Self.defaultPort(isTLS) ? host : "\(host):\(port)"
    }

    /// As a URL, from which the same endpoint is read.
    public var description: String {
        "\(isTLS ? "wss" : "ws")://\(hostHeader)\(path == "/" ? "" : path)"
    }
}
