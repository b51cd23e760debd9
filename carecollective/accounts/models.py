import uuid
from typing import Any, ClassVar

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp


class VerificationStatus(models.TextChoices):
    PENDING = "pending", _("Waiting for approval")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Not approved")


class VerificationStatusField(models.TextField):  # type: ignore[type-arg]
    """The legacy database's own enumerated type."""

    def db_type(self, connection: Any) -> str:
        return "verification_status"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        fields = {"is_staff": True, "is_superuser": True, "verification_status": VerificationStatus.APPROVED} | fields
        return self.create_user(email, password, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A member, in the legacy system's table `profiles`. Its columns stay; ours are added."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True, null=True)
    name = models.TextField(_("name"))
    location = models.TextField(_("town"), null=True, blank=True)
    is_staff = models.BooleanField(_("staff"), default=False, db_column="is_admin")
    is_beta_tester = models.BooleanField(default=False)
    is_active = models.BooleanField(_("may sign in"), default=True)
    verification_status = VerificationStatusField(
        _("membership"), choices=VerificationStatus.choices, default=VerificationStatus.PENDING
    )
    application_reason = models.TextField(_("why they would like to join"), null=True, blank=True)
    rejection_reason = models.TextField(null=True, blank=True)
    kept_out_reason = models.TextField(_("kept out at the takeover because"), null=True, blank=True, editable=False)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, db_column="approved_by", related_name="+"
    )
    created_at = models.DateTimeField(_("member since"), db_default=ClockTimestamp(), editable=False)
    # The page that they wanted to reach when they joined.
    wanted_path = models.TextField(null=True, blank=True, editable=False)
    # Sessions and password links from before this moment are no longer valid.
    signed_out_at = models.DateTimeField(null=True, editable=False)
    # When staff last did something about the member that they have not seen yet. It is on the row that each page reads.
    unseen_notice_at = models.DateTimeField(null=True, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    objects = UserManager()

    class Meta:
        db_table = "profiles"
        verbose_name = _("member")

    def __str__(self) -> str:
        return self.name

    @transaction.atomic
    def save(self, *args: Any, **options: Any) -> None:
        """Insert the member, or update the columns in `update_fields`; without it, only a new password.

        Other columns are not written, because they may have changed since they were read. A new password ends the member's
        sessions, links and tokens, and so does `is_active=False`. Raises TypeError without anything to write.
        """
        has_new_password = getattr(self, "_password", None) is not None
        if not self._state.adding and options.get("update_fields") is None:
            if not has_new_password:
                raise TypeError("Name the columns to write in update_fields.")
            options["update_fields"] = ["password"]
        super().save(*args, **options)
        if has_new_password or not self.is_active:
            apps.get_model("knox", "AuthToken").objects.filter(user=self).delete()
            MemberSession.objects.filter(member_id=self.pk).delete()
        if not self.is_active:
            User.objects.filter(pk=self.pk).update(signed_out_at=ClockTimestamp())

    def check_password(self, raw_password: str | None) -> bool:
        """Tell whether this is the password. An outdated hash is replaced, unless it was changed meanwhile.

        If it was changed, the new hash is checked: it may be of the same password, from a sign-in at the same moment.
        """
        checked = self.password

        def upgrade(password: str) -> None:
            better = make_password(password)
            if User.objects.filter(pk=self.pk, password=checked).update(password=better):
                self.password = better
            else:
                self.password = User.objects.values_list("password", flat=True).get(pk=self.pk)

        if not check_password(raw_password, checked, upgrade):
            return False
        return self.password == checked or check_password(raw_password, self.password)

    @transaction.atomic
    def replace_password(self, raw_password: str) -> bool:
        """Set a new password, unless it was changed or the member shut out meanwhile. Tell whether it was set."""
        unchanged = User.objects.select_for_update(no_key=True).filter(
            pk=self.pk, password=self.password, is_active=True
        )
        if not unchanged.exists():
            return False
        self.set_password(raw_password)
        self.save(update_fields=["password"])
        return True

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Django's public functions call this with each secret in turn. See decision 14.
        session_hash: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{session_hash} {self.signed_out_at.isoformat()}" if self.signed_out_at else session_hash

    @property
    def is_approved(self) -> bool:
        return bool(self.verification_status == VerificationStatus.APPROVED)

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name.split(" ")[0]


class MailPace(models.TextChoices):
    SOON = "soon", _("A few minutes after the first word")
    DAILY = "daily", _("Once a day, all in one mail")


class MessagingPreferences(models.Model):
    """A member's notification settings, in the legacy system's table. A trigger adds a row for each new member."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="messaging_preferences")
    email_notifications = models.BooleanField(_("E-mail me when I get a message"), default=True)
    mail_pace = models.TextField(choices=MailPace.choices, default=MailPace.SOON, db_default=MailPace.SOON)
    shows_words = models.BooleanField(default=False, db_default=False)
    mail_about_requests = models.BooleanField(default=True, db_default=True)
    mail_about_applicants = models.BooleanField(default=True, db_default=True)
    mail_about_reports = models.BooleanField(default=True, db_default=True)
    # Empty until the browser told it, or the member chose: then it is UTC.
    time_zone = models.TextField(default="", db_default="")
    quiet_hours_start = models.TimeField(_("Quiet from"), null=True, blank=True)
    quiet_hours_end = models.TimeField(_("until"), null=True, blank=True)
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "messaging_preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user_id}"


class MemberSession(AbstractBaseSession):
    """A session, in Django's own table with columns of ours: an earlier release reads and writes the same rows."""

    # No foreign key: Django's own model of this table knows of none.
    member_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    device = models.TextField(default="")

    class Meta:
        managed = False
        db_table = "django_session"
