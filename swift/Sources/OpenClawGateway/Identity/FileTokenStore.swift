import Foundation

/// The token store in one small JSON file, as the original client has it (contract 2.4): usually
/// `identity/device-auth.json` below the state folder. Read anew each time, since another process of the
/// same device may have written it.
///
/// The file belongs to one device: tokens of another are not seen, and are dropped by the next write. A
/// file that cannot be parsed counts as empty, since a lost token costs one connect with the shared secret.
public actor FileTokenStore: DeviceTokenStore {
    /// The one version of the file there is.
    private static let version = 1

    private let file: URL

    /// The store in a file, which need not exist.
    public init(_ file: URL) {
        self.file = file
    }

    public func token(device: String, role: String) throws -> SecretString? {
        guard case .string(let text)? = try read(device)[role]?["token"], !text.isEmpty else { return nil }
        return SecretString(text)
    }

    public func keep(_ token: SecretString, device: String, role: String, scopes: [String], nowMs: Int) throws {
        var tokens = try read(device)
        // Members that a newer client may have added are kept.
        var entry: [String: JSONValue] = [:]
        if case .object(let old)? = tokens[role] { entry = old }
        entry["token"] = .string(token.expose())
        entry["role"] = .string(role)
        entry["scopes"] = .array(Set(scopes).sorted().map(JSONValue.string))
        entry["updatedAtMs"] = .int(nowMs)
        tokens[role] = .object(entry)
        try write(device, tokens)
    }

    public func forget(_ token: SecretString, device: String, role: String) throws {
        var tokens = try read(device)
        guard tokens[role]?["token"] == .string(token.expose()) else { return }
        tokens[role] = nil
        try write(device, tokens)
    }

    private func read(_ device: String) throws -> [String: JSONValue] {
        guard FileManager.default.fileExists(atPath: file.path) else { return [:] }
        let data = try Data(contentsOf: file)
        guard let content = try? JSONDecoder().decode(JSONValue.self, from: data), content["version"] == .int(Self.version), content["deviceId"] == .string(device),
            case .object(let tokens)? = content["tokens"]
        else { return [:] }
        return tokens
    }

    /// Replaces the file at once, so that no reader sees half of it, and lets only its owner read it.
    private func write(_ device: String, _ tokens: [String: JSONValue]) throws {
        let folder = file.deletingLastPathComponent()
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let content: JSONValue = [
            "version": .int(Self.version), "deviceId": .string(device), "tokens": .object(tokens),
        ]
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let fresh = folder.appendingPathComponent(".\(file.lastPathComponent).\(UUID().uuidString)")
        // Made with its mode, so that there is no moment in which others can read it.
        let descriptor = open(fresh.path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard descriptor >= 0 else { throw Self.failed(fresh) }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            try handle.write(contentsOf: try encoder.encode(content))
            try handle.close()
            guard rename(fresh.path, file.path) == 0 else { throw Self.failed(file) }
        } catch {
            try? FileManager.default.removeItem(at: fresh)
            throw error
        }
    }

    private static func failed(_ file: URL) -> any Error {
        let why = String(cString: strerror(errno))
        return CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: file.path, NSDebugDescriptionErrorKey: why])
    }
}
