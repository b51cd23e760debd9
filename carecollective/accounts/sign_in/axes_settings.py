"""How django-axes counts failed sign-ins and shuts the door for a while, read by the settings."""

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.5  # hours
# Further attempts, also with the right password, do not lengthen a lock.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "carecollective.accounts.sign_in.throttling.AttemptHandler"
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "carecollective.accounts.sign_in.throttling.throttle_username"
AXES_CLIENT_IP_CALLABLE = "carecollective.core.client_ip.client_ip"
AXES_DISABLE_ACCESS_LOG = True
AXES_LOCKOUT_CALLABLE = "carecollective.accounts.views.locked_out"
AXES_VERBOSE = False
