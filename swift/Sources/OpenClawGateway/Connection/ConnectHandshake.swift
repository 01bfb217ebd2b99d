import Foundation

/// From nothing to hello-ok: dial, challenge, connect (contract 2). ``GatewayClient`` runs one at a time.
struct ConnectHandshake: Sendable {
    /// How long the challenge is waited for; without it the first version of the signature is sent.
    static let challengeWait = Duration.milliseconds(GatewayProtocol.Limits.challengeWaitMs)
    /// Id of the connect request, the only one in flight then.
    static let connectId = "connect"

    let configuration: GatewayConfiguration

    /// Connects once. A stored device token is tried first; where the gateway refuses it and there is a
    /// shared token, the stored one is forgotten and the shared one tried (contract 12).
    ///
    /// Throws ``GatewayConnectError``, and `CancellationError` where the task is cancelled.
    func establish() async throws -> Link {
        let stored = await storedToken()
        let shared = configuration.token
        let link: Link
        do {
            link = try await attempt(stored ?? shared)
        } catch GatewayConnectError.unauthorized(let error) {
            guard let stored, let shared, stored != shared else { throw GatewayConnectError.unauthorized(error) }
            await forget(stored)
            link = try await attempt(shared)
        }
        await keepToken(of: link.hello)
        return link
    }

    /// One attempt with one token, within the time limit.
    private func attempt(_ token: SecretString?) async throws -> Link {
        let url = configuration.endpoint.description
        do {
            return try await withThrowingTaskGroup(of: Link?.self) { group in
                group.addTask { try await introduce(token) }
                group.addTask { [clock = configuration.clock, after = configuration.connectTimeout] in
                    try await clock.sleep(for: after)
                    throw GatewayConnectError.timeout(url: url, after: after)
                }
                defer { group.cancelAll() }
                while let link = try await group.next() {
                    if let link { return link }
                }
                throw CancellationError()
            }
        } catch let error as SocketError {
            try Task.checkCancellation()
            throw GatewayConnectError(error, url: url)
        }
    }

    /// Dials, waits for the challenge, answers it with the connect request, and waits for the hello.
    private func introduce(_ token: SecretString?) async throws -> Link {
        let socket = try await configuration.dialer.dial(configuration.endpoint)
        do {
            let hello = try await converse(Introduction(configuration, token, socket), on: socket)
            return Link(socket: socket, hello: hello)
        } catch {
            await socket.close(code: GatewayProtocol.Close.normal.code, reason: "")
            throw error
        }
    }

    private func converse(_ introduction: Introduction, on socket: any GatewaySocket) async throws -> Gateway.HelloOk {
        try await withThrowingTaskGroup(of: Gateway.HelloOk?.self) { group in
            // A receive may not be given up and begun anew. So where no challenge comes, the request leaves
            // while the same receive goes on.
            group.addTask { [clock = configuration.clock] in
                do { try await clock.sleep(for: Self.challengeWait) } catch { return nil }
                try await introduction.send(nonce: nil)
                return nil
            }
            group.addTask {
                while true {
                    switch Wire.read(try await socket.receive()) {
                    case .response(Self.connectId, _, let text)?:
                        return try hello(text)
                    case .event(_, _, let text)?:
                        if case .connectChallenge(let challenge)? = Wire.event(text)?.payload {
                            try await introduction.send(nonce: challenge.nonce)
                        }
                    case .response?, nil:
                        break
                    }
                }
            }
            defer { group.cancelAll() }
            while let hello = try await group.next() {
                if let hello { return hello }
            }
            throw CancellationError()
        }
    }

    private func hello(_ text: Data) throws -> Gateway.HelloOk {
        do {
            return try Wire.payload(Gateway.HelloOk.self, of: text)
        } catch let refusal as GatewayRefusal {
            throw GatewayConnectError(refusal: refusal.error)
        } catch {
            throw GatewayConnectError.badHello(
                url: configuration.endpoint.description, why: String(describing: error))
        }
    }

    /// The token that the gateway gave this device for the role.
    private func storedToken() async -> SecretString? {
        guard let (store, device) = device else { return nil }
        let role = configuration.role.rawValue
        guard let token = try? await store.token(device: device, role: role), !token.expose().isEmpty else { return nil }
        return token
    }

    private func forget(_ token: SecretString) async {
        guard let (store, device) = device else { return }
        try? await store.forget(token, device: device, role: configuration.role.rawValue)
    }

    /// Stores the token that came with a hello, unless it is there already.
    private func keepToken(of hello: Gateway.HelloOk) async {
        guard let (store, device) = device, let auth = hello.auth else { return }
        if let stored = try? await store.token(device: device, role: auth.role), stored == auth.deviceToken { return }
        try? await store.keep(
            auth.deviceToken, device: device, role: auth.role, scopes: auth.scopes, nowMs: configuration.nowMs())
    }

    private var device: (any DeviceTokenStore, String)? {
        guard let store = configuration.tokenStore, let identity = configuration.identity else { return nil }
        return (store, identity.id)
    }
}

/// A connection past hello-ok.
struct Link: Sendable {
    let socket: any GatewaySocket
    let hello: Gateway.HelloOk
}

/// Sends the connect request of one connection, once: on the challenge, or when none came.
actor Introduction {
    private let configuration: GatewayConfiguration
    private let token: SecretString?
    private let socket: any GatewaySocket
    private var isSent = false

    init(_ configuration: GatewayConfiguration, _ token: SecretString?, _ socket: any GatewaySocket) {
        self.configuration = configuration
        self.token = token
        self.socket = socket
    }

    /// Sends the request; does nothing where it has been sent.
    func send(nonce: String?) async throws {
        if isSent { return }
        isSent = true
        let params = try JSONEncoder().encode(try await params(nonce))
        let method = GatewayMethod.connect.rawValue
        try await socket.send(try Wire.request(id: ConnectHandshake.connectId, method: method, params: params))
    }

    private func params(_ nonce: String?) async throws -> Gateway.ConnectParams {
        let scopes = configuration.scopes.map(\.rawValue)
        let password = configuration.password
        return Gateway.ConnectParams(
            minProtocol: GatewayProtocol.version,
            maxProtocol: GatewayProtocol.version,
            client: configuration.client,
            caps: some(configuration.caps),
            commands: some(configuration.commands),
            permissions: configuration.permissions.isEmpty ? nil : configuration.permissions,
            pathEnv: configuration.pathEnv,
            role: configuration.role.rawValue,
            scopes: some(scopes),
            device: try await device(scopes, nonce),
            auth: token == nil && password == nil ? nil : .init(token: token, password: password),
            locale: configuration.locale,
            userAgent: configuration.userAgent)
    }

    /// A list for the wire: absent where empty. Empty texts mean nothing and are left out.
    private func some(_ texts: [String]) -> [String]? {
        let texts = texts.filter { !$0.isEmpty }
        return texts.isEmpty ? nil : texts
    }

    /// The device's proof over the very fields that are sent.
    private func device(_ scopes: [String], _ nonce: String?) async throws -> Gateway.ConnectDevice? {
        guard let identity = configuration.identity else { return nil }
        let fields = SignedFields(
            deviceId: identity.id,
            clientId: configuration.client.id.rawValue,
            clientMode: configuration.client.mode.rawValue,
            role: configuration.role.rawValue,
            scopes: scopes,
            signedAt: configuration.nowMs(),
            token: token?.expose() ?? "",
            nonce: nonce)
        let signature: Data
        do {
            signature = try await identity.sign(Data(fields.payload.utf8))
        } catch {
            throw GatewayConnectError.badIdentity(String(describing: error))
        }
        return Gateway.ConnectDevice(
            id: identity.id,
            publicKey: identity.publicKey.base64URL,
            signature: signature.base64URL,
            signedAt: fields.signedAt,
            nonce: nonce)
    }
}
