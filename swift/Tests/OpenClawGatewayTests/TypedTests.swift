import Foundation
import XCTest

@testable import OpenClawGateway

/// What the typed profile promises beyond the shapes that the examples cover.
final class TypedTests: XCTestCase {
    private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    private func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    func testSecretsAreNeverShown() throws {
        let auth = Gateway.ConnectAuth(token: "hunter2", password: nil)
        var dumped = ""
        dump(auth, to: &dumped)
        for shown in ["\(auth)", String(describing: auth), String(reflecting: auth), dumped] {
            XCTAssertFalse(shown.contains("hunter2"), shown)
            XCTAssertTrue(shown.contains("[redacted]"), shown)
        }
        XCTAssertEqual(auth.token?.expose(), "hunter2")
        XCTAssertEqual(try text(auth), "{\"token\":\"hunter2\"}")
    }

    func testOpenSecretsAreNeverShown() throws {
        let answer = Gateway.WizardAnswer(stepId: "s", value: "hunter2")
        let set = Gateway.ConfigSetResult(ok: true, path: "p", config: ["gateway": .init(["token": "hunter2"])])
        var dumped = ""
        dump(answer, to: &dumped)
        dump(set, to: &dumped)
        for shown in ["\(answer)", "\(set)", String(reflecting: answer), String(reflecting: set), dumped] {
            XCTAssertFalse(shown.contains("hunter2"), shown)
            XCTAssertTrue(shown.contains("[redacted]"), shown)
        }
        XCTAssertEqual(answer.value?.expose(), "hunter2")
        XCTAssertEqual(try text(set), "{\"config\":{\"gateway\":{\"token\":\"hunter2\"}},\"ok\":true,\"path\":\"p\"}")
    }

    func testAMemberThatSwiftCannotNameHasAnotherName() throws {
        let summary = try decode(Gateway.ChannelSummary.self, "{\"configured\":true,\"self\":{\"jid\":\"j\"}}")
        XCTAssertEqual(summary.ownAddresses?.jid, "j")
        XCTAssertEqual(summary.additional, [:])
        XCTAssertEqual(try text(summary), "{\"configured\":true,\"self\":{\"jid\":\"j\"}}")
    }

    func testUnknownStringsSurvive() throws {
        let values = try decode([Gateway.ChatState].self, "[\"delta\",\"dreaming\"]")
        XCTAssertEqual(values, [.delta, .unknown("dreaming")])
        XCTAssertEqual(try text(values), "[\"delta\",\"dreaming\"]")
        // A wire value that reads like the case for all others is one of the known.
        XCTAssertEqual(Gateway.SessionKind(rawValue: "unknown"), .unknownValue)
        for state in Gateway.ChatState.known {
            XCTAssertEqual(Gateway.ChatState(rawValue: state.rawValue), state)
        }
    }

    func testUnionsTakeTheFirstThatFits() throws {
        let ack = try decode(Gateway.ChatSendResult.self, "{\"runId\":\"r\",\"status\":\"started\"}")
        XCTAssertEqual(ack, .chatSendAck(.init(runId: "r", status: .started)))
        let abort = try decode(Gateway.ChatSendResult.self, "{\"ok\":true,\"aborted\":false,\"runIds\":[]}")
        XCTAssertEqual(abort, .chatAbortResult(.init(ok: true, aborted: false, runIds: [])))
        let later = try decode(Gateway.ChatSendResult.self, "{\"queued\":1}")
        XCTAssertEqual(later, .unknown(["queued": 1]))
        XCTAssertEqual(try text(later), "{\"queued\":1}")
    }

    func testLenientParamsReadWhatTheyCan() throws {
        let odd = try decode(Gateway.SystemEventParams.self, "{\"text\":\"x\",\"roles\":5,\"lastInputSeconds\":\"1\"}")
        XCTAssertEqual(odd, Gateway.SystemEventParams(text: "x"))
        XCTAssertEqual(try decode(Gateway.SystemEventParams.self, "[]"), .init())
        XCTAssertEqual(try decode([Gateway.Attachment].self, "[5,{\"content\":\"c\"},null]").map(\.content), [nil, "c", nil])
        XCTAssertEqual(try text(Gateway.IgnoredParams()), "{}")
    }

    func testUnnamedMembersAreKept() throws {
        let json = "{\"content\":[{\"citations\":[1],\"text\":\"t\",\"type\":\"text\"}],\"role\":\"assistant\",\"zone\":\"eu\"}"
        let message = try decode(Gateway.ChatMessage.self, json)
        XCTAssertEqual(message.additional, ["zone": "eu"])
        XCTAssertEqual(message.content.first?.additional, ["citations": [1]])
        XCTAssertEqual(try text(message), json)
    }

    func testRequiredNullsAreWritten() throws {
        let defaults = Gateway.SessionsDefaults(modelProvider: nil, model: "m", contextTokens: nil)
        XCTAssertEqual(try text(defaults), "{\"contextTokens\":null,\"model\":\"m\",\"modelProvider\":null}")
    }

    /// A patch member has three states in both directions.
    func testPatchMembers() throws {
        struct Patch: Codable, Equatable {
            var label: String??
            enum CodingKeys: String, CodingKey { case label }

            init(label: String?? = nil) { self.label = label }
            init(from decoder: any Decoder) throws {
                label = try decoder.container(keyedBy: CodingKeys.self).decodePatch(String.self, forKey: .label)
            }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: CodingKeys.self)
                try container.encodePatch(label, forKey: .label)
            }
        }
        for (patch, json) in [
            (Patch(), "{}"), (Patch(label: .some(nil)), "{\"label\":null}"), (Patch(label: "x"), "{\"label\":\"x\"}"),
        ] {
            XCTAssertEqual(try text(patch), json)
            XCTAssertEqual(try decode(Patch.self, json), patch)
        }
    }

    func testUnknownEventsSurvive() throws {
        let json = "{\"event\":\"later\",\"payload\":{\"a\":[true,1,1.5,null]},\"seq\":9,\"type\":\"event\"}"
        let event = try decode(GatewayEvent.self, json)
        XCTAssertEqual(event.payload, .unknown(name: "later", payload: ["a": [true, 1, 1.5, nil]]))
        XCTAssertEqual(event.seq, 9)
        XCTAssertEqual(try text(event), json)
        XCTAssertNil(try decode(GatewayEvent.self, "{\"type\":\"event\",\"event\":\"later\"}").seq)
        // A known event with another payload is an error, not an unknown event.
        XCTAssertThrowsError(try decode(GatewayEvent.self, "{\"type\":\"event\",\"event\":\"tick\",\"payload\":[]}"))
    }

    func testMethodsKnowTheirRules() {
        XCTAssertEqual(GatewayMethod(rawValue: "agent.wait"), .agentWait)
        XCTAssertEqual(GatewayMethod.agent.scopes, [.operatorWrite])
        XCTAssertEqual(GatewayMethod.agent.role, .operator)
        XCTAssertEqual(GatewayMethod.agent.idempotencyKey, "/idempotencyKey")
        XCTAssertTrue(GatewayMethod.agent.isStaged)
        XCTAssertFalse(GatewayMethod.health.isStaged)
        XCTAssertTrue(GatewayMethod.chatSend.isWrite)
        XCTAssertEqual(GatewayProtocol.version, 3)
        XCTAssertEqual(GatewayProtocol.Close.serviceRestart.code, 1012)
        XCTAssertEqual(GatewayProtocol.ErrorCode(rawValue: "NOT_PAIRED"), .notPaired)
    }
}
