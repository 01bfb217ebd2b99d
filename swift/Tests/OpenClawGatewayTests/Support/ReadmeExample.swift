import Foundation
import OpenClawGateway

/// The code of swift/README.md, word for word: ReadmeTests compares the two, RealGatewayTests runs it.
struct ReadmeExample {
    let url: String
    let token: SecretString
    let identity: any DeviceIdentity
    let tokens: URL

    func connect() async throws -> GatewayClient {
        let me = Gateway.ConnectClient(id: .gatewayClient, version: "1.0", platform: "macos", mode: .ui)
        var configuration = try GatewayConfiguration(url: url, client: me, token: token)
        configuration.scopes = [.operatorRead, .operatorWrite]
        configuration.identity = identity
        configuration.tokenStore = FileTokenStore(tokens)

        let client = GatewayClient(configuration)
        let hello = try await client.connect()
        print("connected to \(hello.server.version)")
        return client
    }

    func talk(_ client: GatewayClient) async throws {
        let health = try await client.health()
        print(health.ok)

        let run = try await client.agent(.init(message: "hello", sessionKey: "main", idempotencyKey: UUID().uuidString))
        print(run.first?.runId ?? "this run had ended before")
        let reply = try await run.last
        print(reply.result.payloads.compactMap(\.text).joined())
    }

    func listen(_ client: GatewayClient) async throws -> Int {
        var count = 0
        for await notice in await client.events() {
            count += 1
            switch notice {
            case .event(let event):
                if case .chat(let chat) = event.payload { print(chat.state) }
            case .gap, .dropped:
                // Events are missing and are not sent again: ask for what they would have told.
                print(try await client.sessionsList())
            case .disconnected(let cause):
                print("lost: \(cause)")
            case .reconnected(let hello):
                print("go on from \(hello.snapshot.stateVersion)")
            case .gaveUp(let error):
                print("\(error)")
            }
        }
        return count
    }
}
