import Foundation

/// An Ed25519 key pair that stands for this device (contract 2.4). The gateway knows the device by it.
public protocol DeviceIdentity: Sendable {
    /// Lower-case hexadecimal SHA-256 of ``publicKey``: 64 characters.
    var id: String { get }
    /// The raw 32 bytes of the public key.
    var publicKey: Data { get }
    /// The 64 bytes of the Ed25519 signature over a payload. Throws where the key cannot be used,
    /// which ends the attempt to connect.
    func sign(_ payload: Data) async throws -> Data
}

/// What a device signs at connect: the very fields that are sent (contract 2.5).
struct SignedFields: Sendable, Hashable {
    /// Id of the device.
    var deviceId: String
    /// `client.id` as sent.
    var clientId: String
    /// `client.mode` as sent.
    var clientMode: String
    /// Effective role: `operator` where none is sent.
    var role: String
    /// Scopes exactly as sent, none where none are sent.
    var scopes: [String]
    /// Milliseconds since the epoch, equal to `device.signedAt`.
    var signedAt: Int
    /// `auth.token` as sent, or empty. Passwords are not signed.
    var token: String
    /// The challenge's nonce. With one the second version of the text is made, else the first.
    var nonce: String?

    /// The text that is signed: fields joined by `|`.
    var payload: String {
        let scopes = scopes.joined(separator: ",")
        let fields = [
            nonce == nil ? "v1" : "v2", deviceId, clientId, clientMode, role, scopes, String(signedAt), token,
        ]
        return (fields + [nonce].compactMap(\.self)).joined(separator: "|")
    }
}

extension Data {
    /// Base64 in the alphabet of URLs, without padding: how the wire has keys and signatures.
    var base64URL: String {
        base64EncodedString()
            .replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }
}
