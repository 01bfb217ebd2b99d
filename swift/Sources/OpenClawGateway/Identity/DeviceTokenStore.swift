import Foundation

/// Keeps the tokens that gateways have issued to this device (contract 2.4): one a device and role.
///
/// A store that throws is as good as none: the client goes on with the shared secret.
public protocol DeviceTokenStore: Sendable {
    /// The token of the device for a role, if there is one.
    func token(device: String, role: String) async throws -> SecretString?
    /// Keeps the token of the device for a role, in place of an older one, with the scopes that it covers.
    func keep(_ token: SecretString, device: String, role: String, scopes: [String], nowMs: Int) async throws
    /// Forgets the token of the device for a role if it is `token`: one that somebody else has put in its
    /// place meanwhile stays.
    func forget(_ token: SecretString, device: String, role: String) async throws
}

/// A token store that lives as long as the process.
public actor MemoryTokenStore: DeviceTokenStore {
    private struct Key: Hashable {
        let device: String
        let role: String
    }

    private var tokens: [Key: SecretString] = [:]

    /// An empty store.
    public init() {}

    public func token(device: String, role: String) -> SecretString? {
        tokens[Key(device: device, role: role)]
    }

    public func keep(_ token: SecretString, device: String, role: String, scopes: [String], nowMs: Int) {
        tokens[Key(device: device, role: role)] = token
    }

    public func forget(_ token: SecretString, device: String, role: String) {
        let key = Key(device: device, role: role)
        if tokens[key] == token { tokens[key] = nil }
    }
}
