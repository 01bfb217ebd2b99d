import Foundation
import XCTest

@testable import OpenClawGateway

/// What a device signs, and the tests' own signer.
final class IdentityTests: XCTestCase {
    /// FIPS 180-4's own messages, and one of two blocks.
    func testDigests() {
        let two = String(repeating: "a", count: 119)
        for (message, short, long) in [
            ("", "e3b0c44298fc1c14", "cf83e1357eefb8bd"),
            ("abc", "ba7816bf8f01cfea", "ddaf35a193617aba"),
            (two, "31eba51c313a5c08", "130396a75cb483f2"),
        ] {
            XCTAssertEqual(hex(SHA2.sha256(Data(message.utf8)).prefix(8)), short, message)
            XCTAssertEqual(hex(SHA2.sha512(Data(message.utf8)).prefix(8)), long, message)
        }
    }

    /// RFC 8032, 7.1.
    func testSignaturesOfTheRFC() {
        for (seed, key, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ] {
            let signer = Ed25519(seed: bytes(seed))
            XCTAssertEqual(hex(signer.publicKey), key)
            XCTAssertEqual(hex(signer.sign(bytes(message))), signature)
        }
    }

    /// Contract 2.5.
    func testPayloadsAndSignaturesOfTheContract() {
        let identity = TestIdentity(seed: Data(0..<32))
        let id = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c"
        XCTAssertEqual(identity.id, id)
        XCTAssertEqual(identity.publicKey.base64URL, "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg")

        let cli = SignedFields(
            deviceId: id, clientId: "cli", clientMode: "cli", role: "operator",
            scopes: ["operator.read", "operator.write"], signedAt: 1_769_900_000_000, token: "tok", nonce: nil)
        var challenged = cli
        challenged.nonce = "11111111-2222-4333-8444-555555555555"
        let node = SignedFields(
            deviceId: id, clientId: "node-host", clientMode: "node", role: "node", scopes: [],
            signedAt: 1_769_900_000_000, token: "", nonce: nil)
        for (fields, payload, signature) in [
            (
                cli, "v1|\(id)|cli|cli|operator|operator.read,operator.write|1769900000000|tok",
                "S_0Cd0Es2eGK1W0odsHzXEEFfPBnkR0ig8Z3PqpeIVMTh7hWrkH6b9qOHfv7rDlr4nrs4G_K-pMKYHw0qjKmCg"
            ),
            (
                challenged,
                "v2|\(id)|cli|cli|operator|operator.read,operator.write|1769900000000|tok|11111111-2222-4333-8444-555555555555",
                "PtEdQb_It_qQqfgVYxR6NgG-wFcWH_V03Bnk3j2brr_gtHW--4O46aSvq0qZWFzL602p21E48r5LOIcwhMyWAQ"
            ),
            (
                node, "v1|\(id)|node-host|node|node||1769900000000|",
                "XOez57W4Y_5jUOA5jd0qZVLuQ5bmmhZpZgsxsePYzw3HooHxzIIgBpOc93TjN-phS2i9aZR4uSkzokwx2MOPCw"
            ),
        ] {
            XCTAssertEqual(fields.payload, payload)
            XCTAssertEqual(identity.sign(Data(payload.utf8)).base64URL, signature)
        }
    }

    private func hex(_ data: Data) -> String {
        data.map { String(format: "%02x", $0) }.joined()
    }

    private func bytes(_ hex: String) -> Data {
        let digits = Array(hex)
        return Data(stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0..<$0 + 2]), radix: 16) })
    }
}
