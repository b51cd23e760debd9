import uuid
from typing import Any, ClassVar

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import PermissionsMixin
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
    """A member, on the legacy system's `profiles` table: its columns stay as they are, ours are added beside them."""

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
    # What was opened before this moment stays shut: sessions, and links to choose a password.
    signed_out_at = models.DateTimeField(null=True, editable=False)

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
        """Keep a new row, or the columns of an old one that `update_fields` names; without it, a new password alone.

        The other columns may have been changed since they were read: whoever was shut out meanwhile stays so.
        A new password ends the member's sessions, links and tokens, and so does being shut out.

        Raises:
            TypeError: Nothing says what to write.
        """
        has_new_password = getattr(self, "_password", None) is not None
        if not self._state.adding and options.get("update_fields") is None:
            if not has_new_password:
                raise TypeError("Name the columns to write in update_fields.")
            options["update_fields"] = ["password"]
        super().save(*args, **options)
        if has_new_password or not self.is_active:
            apps.get_model("knox", "AuthToken").objects.filter(user=self).delete()
        if not self.is_active:
            User.objects.filter(pk=self.pk).update(signed_out_at=ClockTimestamp())

    def check_password(self, raw_password: str | None) -> bool:
        """Tell whether this is the password. A better hash takes the place of the one that was checked, and of no other.

        Where another took its place meanwhile, that one is asked: it may be the same password's, from a sign-in at the same
        moment, or a new one's.
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
        """Take a new password, unless the one in hand was replaced or the member shut out meanwhile; tell whether it was."""
        held = User.objects.select_for_update(no_key=True).filter(pk=self.pk, password=self.password, is_active=True)
        if not held.exists():
            return False
        self.set_password(raw_password)
        self.save(update_fields=["password"])
        return True

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Django's name for what its public functions call, with every secret in turn. See decision 14.
        before: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{before} {self.signed_out_at.isoformat()}" if self.signed_out_at else before

    @property
    def is_approved(self) -> bool:
        return bool(self.verification_status == VerificationStatus.APPROVED)

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name.split(" ")[0]


class MessagingPreferences(models.Model):
    """What a member wants to hear of, on the legacy system's table; its trigger makes a row for each new member."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="messaging_preferences")
    email_notifications = models.BooleanField(_("E-mail me when I get a message"), default=True)
    quiet_hours_start = models.TimeField(_("Quiet from"), null=True, blank=True)
    quiet_hours_end = models.TimeField(_("until"), null=True, blank=True)
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "messaging_preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user_id}"
