import Foundation
import XCTest

@testable import OpenClawGateway

/// Against a real gateway on loopback, over the platform's own sockets.
final class RealGatewayTests: XCTestCase {
    /// Runs a body beside a gateway.
    private func withGateway(_ body: (GatewayHome, inout GatewayProcess) async throws -> Void) async throws {
        let home = try GatewayHome()
        defer { home.remove() }
        var gateway = try await home.start()
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body(home, &gateway))
        } catch {
            outcome = .failure(error)
        }
        await gateway.stop()
        try outcome.get()
    }

    private func configuration(_ home: GatewayHome, token: SecretString?) throws -> GatewayConfiguration {
        let me = Gateway.ConnectClient(id: .test, version: "1.0", platform: "linux", mode: .test)
        var configuration = try GatewayConfiguration(url: home.url, client: me, token: token)
        configuration.reconnect = .always(GatewayBackoff(first: .milliseconds(20), longest: .milliseconds(200)))
        return configuration
    }

    func testASignedConnectGivesATokenThatIsEnoughTheNextTime() async throws {
        try await withGateway { home, _ in
            let store = MemoryTokenStore()
            var configuration = try configuration(home, token: SecretString(home.token))
            configuration.identity = TestIdentity(seed: Data((0..<32).map { _ in UInt8.random(in: 0...255) }))
            configuration.tokenStore = store
            configuration.scopes = [.operatorRead]
            let first = GatewayClient(configuration)
            let hello = try await first.connect()
            XCTAssertEqual(hello.protocol, GatewayProtocol.version)
            XCTAssertEqual(hello.auth?.role, "operator")
            let health = try await first.health()
            XCTAssertTrue(health.ok)
            // Only what was asked for is allowed.
            let refused = try await thrown { try await first.systemEvent(.init(text: "x")) } as? GatewayRefusal
            XCTAssertEqual(refused?.error.message, "missing scope: operator.admin")
            await first.close()

            configuration.token = nil
            let second = GatewayClient(configuration)
            let again = try await second.connect()
            XCTAssertEqual(again.auth?.deviceToken, hello.auth?.deviceToken)
            _ = try await second.status()
            await second.close()
        }
    }

    func testARunHasBothStagesAndItsEvents() async throws {
        try await withGateway { home, _ in
            let client = GatewayClient(try configuration(home, token: SecretString(home.token)))
            let events = await client.events()
            try await client.connect()
            let key = UUID().uuidString
            let say = Gateway.AgentParams(message: "say something", sessionKey: "main", idempotencyKey: key)
            let run = try await client.agent(say)
            XCTAssertEqual(run.first?.status, .accepted)
            XCTAssertEqual(run.first?.runId, key)
            let last = try await run.last
            XCTAssertEqual(last.status, .ok)
            let reply = last.result.payloads.compactMap(\.text).joined()
            XCTAssertTrue(reply.contains("say something"), reply)

            var phases: [Gateway.AgentEventPhase] = []
            var text = ""
            for await notice in events {
                guard case .event(let event) = notice else { throw Unexpected(what: "\(notice)") }
                guard case .agent(let step) = event.payload, step.runId == key else { continue }
                if let phase = step.data.phase { phases.append(phase) }
                if step.stream == .assistant { text = step.data.text ?? text }
                if phases.last == .end { break }
            }
            XCTAssertEqual(phases, [.start, .end])
            XCTAssertEqual(text, reply)

            // The same key again is the same run, which has ended.
            guard case .ended(let repeated) = try await client.agent(say) else { throw Unexpected(what: "a second run") }
            XCTAssertEqual(repeated, last)
            await client.close()
        }
    }

    func testTheClientComesBackAfterAStopAndAfterAKill() async throws {
        try await withGateway { home, gateway in
            let client = GatewayClient(try configuration(home, token: SecretString(home.token)))
            let events = await client.events()
            var connections = [try await client.connect().server.connId]
            for signal in [SIGTERM, SIGKILL] {
                await gateway.stop(signal)
                var causes: [GatewayDisconnect] = []
                gateway = try await home.start()
                for await notice in events {
                    if case .disconnected(let cause) = notice { causes.append(cause) }
                    if case .reconnected(let hello) = notice {
                        connections.append(hello.server.connId)
                        break
                    }
                }
                XCTAssertEqual(causes.count, 1)
                if signal == SIGTERM {
                    XCTAssertEqual(causes, [.byGateway(code: 1012, reason: "service restart")])
                }
                let health = try await client.health()
                XCTAssertTrue(health.ok)
            }
            XCTAssertEqual(Set(connections).count, 3)
            await client.close()
        }
    }

    func testTheGatewayRefusesStrangers() async throws {
        try await withGateway { home, _ in
            let wrong = GatewayClient(try configuration(home, token: "wrong"))
            let mismatch = try await thrown { try await wrong.connect() } as? GatewayConnectError
            guard case .unauthorized(let error)? = mismatch else { throw Unexpected(what: "\(String(describing: mismatch))") }
            XCTAssertTrue(error.message.hasPrefix("unauthorized: gateway token mismatch"), error.message)
            let nobody = GatewayClient(try configuration(home, token: nil))
            let unknown = try await thrown { try await nobody.connect() } as? GatewayConnectError
            XCTAssertEqual(unknown, .deviceIdentityRequired)
        }
    }

    func testWhatTheReadmeSays() async throws {
        try await withGateway { home, _ in
            let example = ReadmeExample(
                url: home.url, token: SecretString(home.token), identity: TestIdentity(seed: Data(1...32)),
                tokens: home.folder.appendingPathComponent("tokens.json"))
            let client = try await example.connect()
            async let heard = example.listen(client)
            try await example.talk(client)
            await client.close()
            let notices = try await heard
            XCTAssertGreaterThan(notices, 0)
        }
    }
}
