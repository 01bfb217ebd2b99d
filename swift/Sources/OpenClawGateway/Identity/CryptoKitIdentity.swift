#if canImport(CryptoKit)
    import CryptoKit
    import Foundation

    /// A device identity on CryptoKit. The app keeps ``privateKey``, in the keychain for example, and makes
    /// the identity from it at the next start: a new key is a new device, which has to be paired again.
    public struct CryptoKitIdentity: DeviceIdentity {
        public let id: String
        public let publicKey: Data
        /// The raw 32 bytes of the private key: a secret.
        public let privateKey: SecretData

        /// Bytes that printing and dumping do not show.
        public struct SecretData: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
            private let bytes: Data
            init(_ bytes: Data) { self.bytes = bytes }
            /// The secret itself, for the one place that needs it.
            public func expose() -> Data { bytes }
            public var description: String { "[redacted]" }
            /// No children: `dump` reads the mirror.
            public var customMirror: Mirror { Mirror(self, children: []) }
        }

        /// A new key: a new device.
        public init() {
            self.init(Curve25519.Signing.PrivateKey())
        }

        /// The identity of a key that was kept. Throws where the bytes are no Ed25519 private key.
        public init(privateKey: Data) throws {
            self.init(try Curve25519.Signing.PrivateKey(rawRepresentation: privateKey))
        }

        private init(_ key: Curve25519.Signing.PrivateKey) {
            privateKey = SecretData(key.rawRepresentation)
            publicKey = key.publicKey.rawRepresentation
            id = SHA256.hash(data: publicKey).map { String(format: "%02x", $0) }.joined()
        }

        public func sign(_ payload: Data) async throws -> Data {
            try Curve25519.Signing.PrivateKey(rawRepresentation: privateKey.expose()).signature(for: payload)
        }
    }
#endif
