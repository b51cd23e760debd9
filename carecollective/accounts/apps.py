from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "carecollective.accounts"
    verbose_name = "Members"

    def ready(self) -> None:
        from carecollective.accounts import taken_address  # noqa: PLC0415 -- needs the models
        from carecollective.accounts.allauth import steps  # noqa: PLC0415 -- needs the models
        from carecollective.accounts.letters import membership, staff  # noqa: PLC0415 -- needs the models
        from carecollective.accounts.sign_in import mails, passwords, second_factor  # noqa: PLC0415 -- needs the models
        from carecollective.mail import queue  # noqa: PLC0415
        from carecollective.mail.topics import Topic  # noqa: PLC0415
        from carecollective.web.admin_site import site  # noqa: PLC0415

        queue.register(
            passwords.LINK_MAIL, title=_("Link to choose a password"), compose=passwords.compose_password_link
        )
        queue.register(
            taken_address.MEMBER_ALREADY_MAIL,
            title=_("Somebody joined with a member's address"),
            compose=taken_address.compose_member_already,
        )
        mails.register()
        queue.register(membership.APPROVED_MAIL, title=_("Membership approved"), compose=membership.compose_approved)
        queue.register(
            membership.REJECTED_MAIL, title=_("Membership not approved"), compose=membership.compose_rejected
        )
        queue.register(
            staff.APPLICANTS_MAIL,
            title=_("People who wait to join"),
            compose=staff.compose_applicants_waiting,
            topic=Topic.APPLICANTS,
        )
        site.continue_sign_in = steps.go_on_signing_in
        site.lacks_second_factor = second_factor.lacks_second_factor
