"""How allauth works here, read by the settings: the steps of a sign-in and of confirming an address (decision 37)."""

ACCOUNT_ADAPTER = "carecollective.accounts.allauth.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# At joining only: whoever signs in with a password is asked on their account page.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_TIMEOUT = ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
# The adapter sends none, and takes as long as for a member.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_REAUTHENTICATION_METHODS = ["password", "mfa"]
# They would count in each process's own memory: ours count in the database.
ACCOUNT_RATE_LIMITS = False
ACCOUNT_FORMS = {
    "request_login_code": "carecollective.accounts.allauth.forms.RequestLoginCodeForm",
    "confirm_login_code": "carecollective.accounts.allauth.forms.ConfirmLoginCodeForm",
    "confirm_email_verification_code": "carecollective.accounts.allauth.forms.ConfirmEmailForm",
    "reauthenticate": "carecollective.accounts.allauth.mfa_forms.ConfirmPasswordForm",
}
MFA_ADAPTER = "carecollective.accounts.allauth.mfa_adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Phones' clocks go wrong by half a minute.
MFA_TOTP_TOLERANCE = 1
MFA_RATE_LIMITS = False
MFA_FORMS = {
    "activate_totp": "carecollective.accounts.allauth.mfa_forms.ActivateAppForm",
    "authenticate": "carecollective.accounts.allauth.mfa_forms.AuthenticateForm",
    "reauthenticate": "carecollective.accounts.allauth.mfa_forms.ReauthenticateForm",
    "add_webauthn": "carecollective.accounts.allauth.mfa_forms.AddPasskeyForm",
    "authenticate_webauthn": "carecollective.accounts.allauth.mfa_forms.AuthenticatePasskeyForm",
    "login_webauthn": "carecollective.accounts.allauth.mfa_forms.SignInByPasskeyForm",
    "reauthenticate_webauthn": "carecollective.accounts.allauth.mfa_forms.ReauthenticatePasskeyForm",
}
